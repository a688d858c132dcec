"""The project that a script belongs to: its folder in the source tree, its Python files, what it says it needs."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import cast

from packaging.requirements import InvalidRequirement, Requirement

_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements*.txt")
_NO_PROJECT = {"site-packages", "dist-packages", "node_modules", "__pycache__"}

Read = Callable[[str], bytes]
"""Gives the captured content of a file of the source tree."""


def project_folder(files: Iterable[str], start: str) -> str:
    """The nearest folder at or above `start` that has a project file; without one, the source root (`.`)."""
    marked = {
        str(path.parent) for path in map(PurePosixPath, files) if any(fnmatch(path.name, mark) for mark in _MARKS)
    }
    folder = PurePosixPath(start)
    return next((str(one) for one in (folder, *folder.parents) if str(one) in marked), ".")


def python_files(files: Iterable[str], folder: str) -> list[str]:
    """The project's Python files; not those of virtual environments, hidden folders and installed packages."""
    inside = [
        path for path in map(PurePosixPath, sorted(files)) if path.suffix == ".py" and path.is_relative_to(folder)
    ]
    return [str(path) for path in inside if not any(map(_foreign, path.relative_to(folder).parts[:-1]))]


def local_modules(files: Iterable[str], folders: Iterable[str]) -> frozenset[str]:
    """Modules and packages directly in some folders, which the program finds before installed ones."""
    wanted = set(folders)
    paths = [PurePosixPath(path) for path in files if path.endswith(".py")]
    packages = {path.parent.name for path in paths if path.name == "__init__.py" and str(path.parent.parent) in wanted}
    return frozenset(
        packages | {path.stem for path in paths if str(path.parent) in wanted and path.name != "__init__.py"}
    )


def declared_requirements(files: Iterable[str], read: Read, folder: str) -> tuple[Requirement, ...]:
    """What the project declares: pyproject.toml, setup.cfg, requirements*.txt of its folder. Never setup.py: that
    would have to be run.
    """
    there = {path.name: str(path) for path in map(PurePosixPath, files) if str(path.parent) == folder}
    lines: list[str] = []
    if "pyproject.toml" in there:
        lines += _pyproject(read(there["pyproject.toml"]))
    if "setup.cfg" in there:
        lines += _setup_cfg(read(there["setup.cfg"]))
    for name, path in sorted(there.items()):
        if fnmatch(name, "requirements*.txt"):
            lines += _requirements(read(path))
    return tuple(_parsed(lines))


def _foreign(part: str) -> bool:
    return part.startswith(".") or part in _NO_PROJECT


def _pyproject(content: bytes) -> list[str]:
    try:
        document = tomllib.loads(content.decode(errors="replace"))
    except tomllib.TOMLDecodeError:
        return []
    project = _table(document, "project").get("dependencies", [])
    poetry = _table(_table(_table(document, "tool"), "poetry"), "dependencies")
    lines = [str(line) for line in cast("list[object]", project)] if isinstance(project, list) else []
    return lines + [name for name in poetry if name != "python"]


def _table(document: dict[str, object], name: str) -> dict[str, object]:
    found = document.get(name)
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _setup_cfg(content: bytes) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(content.decode(errors="replace"))
    except configparser.Error:
        return []
    return parser.get("options", "install_requires", fallback="").splitlines()


def _requirements(content: bytes) -> list[str]:
    """Requirement lines; options (`-r`, `--hash`), comments and bare paths are not."""
    text = content.decode(errors="replace").replace("\\\n", " ")
    return [re.split(r"\s#|\s--", line, maxsplit=1)[0] for line in text.splitlines() if not line.startswith(("#", "-"))]


def _parsed(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            if line.strip():
                yield Requirement(line.strip())
        except InvalidRequirement:
            continue  # a path, an option, or a form that no installer takes either
