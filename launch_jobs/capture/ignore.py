"""Which files of a folder without git are source: what `.gitignore`, `.dockerignore` and `.launchignore` say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from launch_jobs.capture.tree import NEVER_SOURCE
from launch_jobs.errors import CaptureError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_IN_EVERY_FOLDER = (".gitignore", ".launchignore")


_EVERYTHING = "."  # what pathspec makes of `*`


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern of an ignore file."""

    regex: re.Pattern[str]
    ignores: bool

    def speaks_of(self, path: str) -> bool:
        """Whether the pattern matches the path itself, not only a folder above it.

        pathspec's own search lets a pattern for a folder speak of all below; git asks again at each level, so that
        `!b*` after `*` takes back a folder `b`, but not `b/c`.
        """
        found = self.regex.search(path)
        return found is not None and (found.end() == len(path) or self.regex.pattern == _EVERYTHING)


_COMPILED_MODULE = re.compile(r"\.(?:cpython-[^.]+|abi3|pypy[^.]*)\.so$|\.pyd$")


def is_compiled_module(path: str) -> bool:
    """Whether a file is a compiled Python module: ignored by git nearly always, imported, and built nowhere else."""
    return bool(_COMPILED_MODULE.search(path))


class IgnoreRules:
    """Decides for each path below a folder whether it is source.

    `.gitignore` and `.launchignore` count in every folder, as git reads them: the deeper one wins, and at one level
    the later line, with `.launchignore` read last. `.dockerignore` counts at the root, as Docker reads it (its
    patterns begin at the root), unless one of the others takes a file back with `!`.
    """

    def __init__(self, root: Path, *, names: tuple[str, ...] = _IN_EVERY_FOLDER, dockers: bool = True) -> None:
        self._root = root
        self._names = names
        self._kept: dict[str, bool] = {}
        self._known: dict[str, list[_Rule]] = {}
        self._docker: GitIgnoreSpec | None = None
        docker = [_anchored(line) for line in _lines(root / ".dockerignore")] if dockers else []
        if docker:
            self._docker = _spec(docker)
        self._docker_takes_back = any(line.startswith("!") for line in docker)

    def keep(self, path: str, is_folder: bool) -> bool:
        """Whether a file is source, or a folder may hold some."""
        name = path.rpartition("/")[2]
        if name == ".git" or name in NEVER_SOURCE:
            return False
        if is_folder and (self._root / path / "pyvenv.cfg").exists():
            return False
        asked = f"{path}/" if is_folder else path
        said = self._said(asked)
        if said is not None:
            return not said
        left_out = self._docker is not None and self._docker.check_file(asked).include
        return not left_out or (is_folder and self._docker_takes_back)

    def keeps_with_parents(self, path: str) -> bool:
        """Whether a file is source when nobody asked about the folders above it."""
        return self._keeps_folder(path.rpartition("/")[0]) and self.keep(path, False)

    def _keeps_folder(self, folder: str) -> bool:
        if folder and folder not in self._kept:
            self._kept[folder] = self._keeps_folder(folder.rpartition("/")[0]) and self.keep(folder, True)
        return not folder or self._kept[folder]

    def _said(self, path: str) -> bool | None:
        """Whether the nearest rule ignores the path; None when no rule speaks of it."""
        folder = path.rstrip("/")
        while folder:
            folder = folder.rpartition("/")[0]
            relative = path[len(folder) + 1 :] if folder else path
            for rule in reversed(self._rules(folder)):
                if rule.speaks_of(relative):
                    return rule.ignores
        return None

    def _rules(self, folder: str) -> list[_Rule]:
        if folder not in self._known:
            lines = [_inside(line) for name in self._names for line in _lines(self._root / folder / name)]
            self._known[folder] = [
                # pathspec leaves open whether its patterns are of text or bytes
                _Rule(cast("re.Pattern[str]", one.regex), one.include)  # pyright: ignore[reportUnknownMemberType]
                for one in (_spec(lines).patterns if lines else ())
                if one.include is not None
            ]
        return self._known[folder]


def _spec(lines: list[str]) -> GitIgnoreSpec:
    """Patterns as pathspec has them; most folders have none, and its import takes time."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"cannot read {str(file)!r}: {error}", do="Mend it, or remove it") from error


def _inside(line: str) -> str:
    """The same pattern for pathspec, whose `a/**` matches the folder `a/` itself; git's only what is in it."""
    pattern = line.rstrip()
    if pattern in {"**/", "!**/"}:
        return pattern.replace("**", "*")
    if pattern.endswith("/**"):
        return f"{pattern}/*"
    return f"{pattern}*/" if pattern.endswith("/**/") else line


def _anchored(line: str) -> str:
    """A `.dockerignore` pattern as git would write it: Docker's begin at the root."""
    pattern = line.strip()
    if not pattern or pattern.startswith("#"):
        return ""
    sign, pattern = ("!", pattern[1:].strip()) if pattern.startswith("!") else ("", pattern)
    return f"{sign}/{pattern.removeprefix('./').strip('/')}"
