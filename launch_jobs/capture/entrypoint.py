"""From the command that the user typed to a job's entrypoint, which holds on any machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.capture.interpreter import Program
from launch_jobs.capture.runner import inner_command, program_is_python
from launch_jobs.errors import BadInput

if TYPE_CHECKING:
    from launch_jobs.job import Entrypoint


@dataclass(frozen=True, slots=True)
class Located:
    """A command and where it stands in its source tree.

    Attributes:
        program: the command.
        directory: where it runs, absolute.
        root: the source root, absolute.
        files: the source tree's paths.
    """

    program: Program
    directory: Path
    root: Path
    files: frozenset[str]

    @property
    def folder(self) -> str:
        """The script's folder, else the working directory, relative to the source root."""
        script = self.relative(self.program.target) if self.program.kind == "script" else None
        if script is None:
            return self.directory.relative_to(self.root).as_posix()
        return script if (self.root / script).is_dir() else Path(script).parent.as_posix()

    def relative(self, path: str) -> str | None:
        """A path of the command, relative to the source root; None when it is outside."""
        typed = self.directory / path
        real = typed.parent.resolve() / typed.name if typed.name != ".." else typed.resolve()
        return real.relative_to(self.root).as_posix() if real.is_relative_to(self.root) else None

    def holds(self, path: str) -> bool:
        """Whether a path relative to the root is a file of the source tree, or a folder with some."""
        return path in self.files or path == "." or any(file.startswith(f"{path}/") for file in self.files)


def locate(program: Program, directory: Path, root: Path, files: frozenset[str]) -> Located:
    """Find a command in its source tree, of these files.

    Raises:
        BadInput: its Python script is outside the tree, or inside but no part of the source.
    """
    found = Located(program, directory, root, files)
    if program.kind != "script" or _installed(program):
        return found
    script = found.relative(program.target)
    if script is None:
        raise BadInput(
            f"the script {program.target!r} is outside the source tree {root}",
            do="Run it from its own folder or repository",
        )
    if not found.holds(script):
        raise BadInput(f"the script {program.target!r} is ignored, so no part of the source", do="Mend .gitignore")
    return found


def entrypoint_of(argv: Sequence[str], located: Located) -> Entrypoint:
    """The job's command: `python` for whatever Python, and paths of the source tree relative to where it runs."""
    from launch_jobs.job import Entrypoint

    program = located.program
    inner = inner_command(argv) if program.kind == "program" else ()
    words = [_word(word, located) for word in inner or argv]
    if inner:
        words[0] = "python" if program_is_python(words[0]) else words[0]
    elif program.index or program.kind in ("code", "input"):
        words[0] = "python"
    else:
        words[0] = _program_word(located)
    if program.kind == "script" and program.index:
        words[program.index] = _from_directory(located.relative(program.target) or program.target, located)
    return Entrypoint(argv=tuple(words), directory=located.directory.relative_to(located.root).as_posix())


def search_path(located: Located, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The folders of the source tree that PYTHONPATH names, relative to the root; an empty entry is where it runs."""
    given = environment.get("PYTHONPATH", "")
    entries = [located.relative(entry) for entry in given.split(os.pathsep)] if given else []
    return tuple(dict.fromkeys(entry for entry in entries if entry is not None and located.holds(entry)))


def _installed(program: Program) -> bool:
    """Whether it is a console script: a program beside its interpreter, or one found on PATH."""
    beside = program.python is not None and program.file.parent == Path(program.python).parent
    return not program.index and (beside or os.sep not in program.argv[0])


def _program_word(located: Located) -> str:
    program = located.program
    if _installed(program):
        return program.file.name
    inside = located.relative(program.argv[0])
    if inside is None or not located.holds(inside):
        return program.argv[0]
    word = _from_directory(inside, located)
    return word if "/" in word else f"./{word}"


def _word(word: str, located: Located) -> str:
    """An argument that names a source file by its absolute path would name nothing on another machine."""
    inside = located.relative(word) if Path(word).is_absolute() else None
    return _from_directory(inside, located) if inside is not None and inside in located.files else word


def _from_directory(path: str, located: Located) -> str:
    return Path(os.path.relpath(located.root / path, located.directory)).as_posix()
