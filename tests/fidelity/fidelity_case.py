"""A case of the corpus: a folder with a program, and what its `case.toml` says of it. Pure but for reading."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
REQUIREMENTS = HERE / "requirements"


class Second(BaseModel):
    """The second launch: what is changed, and how it must end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    args: tuple[str, ...] = ()
    exit_code: int = 0
    says: str = Field(default="", description="What must be found in its log: the other value had effect.")


class Case(BaseModel):
    """One program.

    Attributes:
        command: as a user types it in the program's folder; `python` is that of the case's environment.
        directory: where it is typed, relative to the repository.
        requirements: name of a set in requirements/: what is installed where the program is captured.
        exit_code: that the program has.
        install: further `uv pip install` arguments, run in the program's folder: an editable package, a wheel.
        untracked: files not committed; modified: files committed in another state than they run.
        ignored: lines for .gitignore.
        environment: variables that the user's shell exports; not set where the job runs.
        ignore: patterns of output lines that rightly differ; ignore_files: of output paths whose content does.
        short: belongs to the four cheap ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    command: tuple[str, ...] = Field(min_length=1)
    requirements: str = "none"
    directory: str = ""
    install: tuple[tuple[str, ...], ...] = ()
    exit_code: int = 0
    untracked: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    ignore: tuple[re.Pattern[str], ...] = ()
    ignore_files: tuple[re.Pattern[str], ...] = ()
    short: bool = False
    second: Second

    @property
    def folder(self) -> Path:
        """Its program."""
        return PROGRAMS / self.name

    @property
    def requirements_file(self) -> Path:
        """Its set of requirements."""
        return REQUIREMENTS / f"{self.requirements}.txt"

    @property
    def job(self) -> str:
        """Name of its job."""
        return f"fidelity-{self.name}"


def read_case(folder: Path) -> Case:
    """The case in a folder.

    Raises:
        ValueError: its case.toml is not well-formed.
    """
    content = tomllib.loads((folder / "case.toml").read_text())
    return Case.model_validate({"name": folder.name, **content})


def read_corpus(names: Iterable[str] = (), *, short: bool = False) -> list[Case]:
    """The cases of these names, in the order of the alphabet; without names all of them, or the cheap ones.

    Raises:
        ValueError: there is no case of a name.
    """
    corpus = {folder.name: folder for folder in sorted(PROGRAMS.iterdir()) if (folder / "case.toml").exists()}
    wanted = list(names)
    if unknown := [name for name in wanted if name not in corpus]:
        raise ValueError(f"There is no case {', '.join(unknown)}; there are {', '.join(corpus)}")
    cases = [read_case(corpus[name]) for name in (wanted or corpus)]
    return [case for case in cases if case.short] if short and not wanted else cases
