"""What all processes of a tracked run tell together: which one was the program, what it used, what stayed unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from launch_jobs.capture.interpreter import Program
from launch_jobs.capture.observation import Observation
from launch_jobs.capture.parameters import Seen as SeenParser  # whatever its library


@dataclass(frozen=True, slots=True)
class Seen:
    """The Python processes of one tracked run.

    Attributes:
        observations: all of them, in the order of their start.
        main: the one that was the program itself; None when that was no Python, or could not be watched.
        parser: the parser of the command's own arguments.
    """

    observations: tuple[Observation, ...]
    main: Observation | None
    parser: SeenParser | None = None

    @classmethod
    def of(cls, observations: Sequence[Observation], pid: int, program: Program) -> Seen:
        """Find the program among the processes; one that replaced itself (`exec`) has several, one after another."""
        own = [one for one in observations if one.pid == pid and not one.nested]
        parsed = [one for one in own if one.parser and one.parser.is_of(program.argv)]
        main = next(iter([*parsed, *reversed(own)]), None)
        return cls(tuple(observations), main, _parser(observations, main, program))

    @property
    def first(self) -> Observation | None:
        """The process whose interpreter is the job's: the program, or the first Python that it started."""
        return self.main or next(iter(self.observations), None)

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
            yield (
                f"{program.argv[0]} is no Python program, and none was seen that it started (one with a PYTHONPATH of "
                "its own is not): what it needs installed was not seen."
            )
        if self.main and not self.main.complete:
            yield "The process ended without Python's own end (a signal, os._exit): its system libraries were not seen."
        others = sorted({one.executable for one in self.observations} - {one.executable for one in self.same_python})
        for other in others:
            yield f"Another Python ran too, {other}: what it needs is not in the job."


def _parser(observations: Sequence[Observation], main: Observation | None, program: Program) -> SeenParser | None:
    """The parser of a command's own arguments: behind a launcher (torchrun, a shell script), that of what it started.

    A launcher hands the end of its command on. So of all processes that were started with just such an end, script
    included, the one with the shortest counts; else the program's own; else one that was given the end without script.
    Without arguments nothing tells that others would be handed on.
    """
    parsers = [(one, one.parser) for one in observations if one.parser]
    whole = [parser for one, parser in parsers if _is_end(one, parser, program.argv)]
    if whole:
        return min(whole, key=lambda parser: len(parser.args))
    if main and main.parser and program.python:
        return main.parser
    return next((parser for _, parser in parsers if parser.args and parser.is_of(program.argv)), None)


def _is_end(one: Observation, parser: SeenParser, argv: Sequence[str]) -> bool:
    """Whether a process is the script that a command names right before the arguments that the process parsed."""
    place = len(argv) - len(parser.args) - 1
    if place < 0 or not one.argv or tuple(argv[place + 1 :]) != parser.args or one.argv[1:] != parser.args:
        return False
    word, script = argv[place], PurePosixPath(one.argv[0])
    if script.name == "-m":  # as it was while Python still looked for the module
        return word.removeprefix("-m").replace(".", "").isidentifier()
    return script.name == PurePosixPath(word).name or script.stem == word.rpartition(".")[2]
