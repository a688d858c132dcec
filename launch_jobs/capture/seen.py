"""What all processes of a tracked run tell together: which one was the program, what it used, what stayed unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from launch_jobs.capture.interpreter import Program
from launch_jobs.capture.observation import Observation
from launch_jobs.capture.parser import SeenParser


@dataclass(frozen=True, slots=True)
class Seen:
    """The Python processes of one tracked run.

    Attributes:
        observations: all of them, in the order of their start.
        main: the one that was the program itself; None when that was no Python, or could not be watched.
    """

    observations: tuple[Observation, ...]
    main: Observation | None

    @classmethod
    def of(cls, observations: Sequence[Observation], pid: int, program: Program) -> Seen:
        """Find the program among the processes; one that replaced itself (`exec`) has several, one after another."""
        own = [one for one in observations if one.pid == pid]
        parsed = [one for one in own if one.parser and one.parser.is_of(program.argv)]
        return cls(tuple(observations), next(iter([*parsed, *reversed(own)]), None))

    @property
    def first(self) -> Observation | None:
        """The process whose interpreter is the job's: the program, or the first Python that it started."""
        return self.main or next(iter(self.observations), None)

    @property
    def parser(self) -> SeenParser | None:
        """The parser of the command's own arguments."""
        return self.main.parser if self.main else None

    @property
    def same_python(self) -> tuple[Observation, ...]:
        """The processes in the job's interpreter."""
        return tuple(one for one in self.observations if self.first and one.prefix == self.first.prefix)

    @property
    def imported(self) -> dict[str, str | None]:
        """Modules that these used, with their files as far as known."""
        found: dict[str, str | None] = {}
        for one in self.same_python:
            found |= {name: file or found.get(name) for name, file in one.loaded.items()}
        return found

    def libraries(self, root: Path) -> tuple[str, ...]:
        """Shared libraries of the system (not of a distribution, the interpreter, or the source tree)."""
        if self.first is None:
            return ()
        own = (root, Path(self.first.prefix))
        found = {path for one in self.same_python for path in one.libraries}
        return tuple(
            sorted(
                path
                for path in found
                if not any(Path(path).is_relative_to(folder) for folder in own)
                and {"site-packages", "dist-packages", "lib-dynload"}.isdisjoint(PurePosixPath(path).parts)
            )
        )

    def notes(self, program: Program) -> Iterator[str]:
        """What could not be seen, in plain words."""
        if program.python and self.main is None:
            why = f"its option {program.hidden} keeps" if program.hidden else "something kept"
            yield f"Imports, written files and arguments were not seen: {why} the tracker out of {program.argv[0]}."
        if not program.python and not self.observations:
            yield f"{program.argv[0]} is no Python program: what it needs installed was not seen."
        if program.kind == "input":
            yield "The code came from standard input and is not in the job."
        if self.main and not self.main.complete:
            yield "The process ended without Python's own end (a signal, os._exit): its system libraries were not seen."
        others = sorted({one.executable for one in self.observations} - {one.executable for one in self.same_python})
        for other in others:
            yield f"Another Python ran too, {other}: what it needs is not in the job."
