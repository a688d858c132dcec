"""What a command runs: which program, which Python behind it, which script."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launch_jobs.capture.runner import inner_name
from launch_jobs.errors import BadInput
from launch_jobs.names import slug

_PYTHON = re.compile(r"^(python|pypy)[0-9.]*t?$")
_LONG_SHEBANG = re.compile(rb"^'''exec' \"?([^\"\n]+?)\"? \"\$0\"", re.MULTILINE)
_WITH_VALUE = {"-W", "-X", "--check-hash-based-pycs"}


@dataclass(frozen=True, slots=True)
class Program:
    """A command, understood.

    Attributes:
        argv: as the user typed it.
        file: the program file that it starts.
        python: the Python interpreter that runs it; None for another language.
        flags: the interpreter's own options, such as `-I`.
        kind: what Python is told to run.
        target: script path as typed, or module name.
        index: where the target stands in `argv`.
    """

    argv: tuple[str, ...]
    file: Path
    python: str | None = None
    flags: tuple[str, ...] = ()
    kind: Literal["script", "module", "code", "input", "program"] = "program"
    target: str = ""
    index: int = 0

    @property
    def name(self) -> str:
        """The default name of its job: the script's stem, the module's last part, else the program's name."""
        if self.kind == "module":
            return slug(self.target.rpartition(".")[2])
        if self.kind == "script":
            return slug(Path(self.target).resolve().stem if self.target in (".", "..") else Path(self.target).stem)
        return slug(inner_name(self.argv) or Path(self.argv[0]).stem)

    @property
    def hidden(self) -> str | None:
        """Which of its own options keep the tracker out; None if none does."""
        letters = [flag[1:] for flag in self.flags if not flag.startswith("--")]
        found = sorted({letter for flag in letters for letter in flag if letter in "IES"})
        return " ".join(f"-{letter}" for letter in found) or None


def find_program(command: Sequence[str], directory: Path) -> Program:
    """Understand a command as the shell would start it in a folder. Nothing is run.

    Raises:
        BadInput: it is empty, its program is not found, or the script that it names is not there.
    """
    if not command or not command[0]:
        raise BadInput("the command is empty", do="Write it after --, e.g. launch run -- python train.py")
    argv = tuple(command)
    file = _which(argv[0], directory)
    if _PYTHON.match(Path(argv[0]).name):
        program = _python_command(argv, file)
    else:
        python = _shebang_python(file)
        program = Program(argv, file, python, kind="script", target=argv[0]) if python else Program(argv, file)
    if program.kind == "script" and program.index and not (directory / program.target).exists():
        raise BadInput(f"there is no script {program.target!r} in {directory}", do="Check the path")
    return program


def _which(name: str, directory: Path) -> Path:
    typed = str(directory / name) if os.sep in name else name
    found = shutil.which(typed)
    if found is None:
        there = os.sep in name and Path(typed).exists()
        raise BadInput(
            f"{name!r} is not executable" if there else f"there is no program {name!r}",
            do=f"chmod +x {name}" if there else "Check the spelling and PATH",
        )
    return Path(found)


def _python_command(argv: tuple[str, ...], file: Path) -> Program:
    """Find what Python is told to run, by its own rules for options."""
    index = 1
    while index < len(argv):
        word = argv[index]
        if word == "-" or not word.startswith("-"):
            break
        if word in _WITH_VALUE or re.fullmatch(r"-[a-zA-Z]*[WX]", word):
            index += 2
            continue
        if match := re.fullmatch(r"-([a-zA-Z]*?)([cm])(.*)", word) if not word.startswith("--") else None:
            return _told(argv, file, index, match)
        index += 1
    flags = argv[1:index]
    if index >= len(argv) or argv[index] == "-":
        return Program(argv, file, str(file), flags, "input")
    return Program(argv, file, str(file), flags, "script", argv[index], index)


def _told(argv: tuple[str, ...], file: Path, index: int, match: re.Match[str]) -> Program:
    """A program after `-c` or `-m`, which ends the options and may follow without a space."""
    flags = (*argv[1:index], *([f"-{match[1]}"] if match[1] else []))
    if match[2] == "c":
        return Program(argv, file, str(file), flags, "code")
    if not match[3] and index + 1 >= len(argv):
        raise BadInput("python -m names no module", do="Write the module after -m")
    return Program(argv, file, str(file), flags, "module", match[3] or argv[index + 1], index + (not match[3]))


def _shebang_python(file: Path) -> str | None:
    """The Python in a script's first line, or in pip's form of it for long paths."""
    try:
        with file.open("rb") as opened:
            head = opened.read(1024)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    if long := _LONG_SHEBANG.search(head):
        return os.fsdecode(long[1])
    words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if not words or not _PYTHON.match(Path(words[0]).name):
        return None
    return shutil.which(words[0])
