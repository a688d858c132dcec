"""What the tracker journalled of a tracked run's processes, read as data."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from launch_jobs.capture.parameters import SeenOrNone
from launch_jobs.job import JsonObject


class Observation(BaseModel):
    """One Python process, as far as its tracker saw it.

    Attributes:
        pid: process id.
        started: nanoseconds since the epoch.
        nested: whether it is a sub-interpreter of the process.
        complete: whether the tracker saw the end; without it only `imports` tells of modules.
        imports: names that were asked for with `import`, found or not.
        modules: file of each module that was loaded at the end; None where it has none.
        path: `sys.path` at the end.
        parser: the parser of the command's own arguments.
        open: files that were open at the end.
        objects: S3 objects that were read or written through botocore.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = 0
    started: int = 0
    python: str = ""
    implementation: str = ""
    executable: str = ""
    prefix: str = ""
    system: str = ""
    machine: str = ""
    argv: tuple[str, ...] = ()
    nested: bool = False
    complete: bool = False
    imports: frozenset[str] = frozenset()
    modules: dict[str, str | None] = {}
    path: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    objects: tuple[JsonObject, ...] = ()
    parser: SeenOrNone = None

    @property
    def loaded(self) -> dict[str, str | None]:
        """Modules that the process used, with files as far as known."""
        return self.modules if self.complete else dict.fromkeys(self.imports) | self.modules


def read_observations(folder: Path) -> list[Observation]:
    """All processes that journalled into a folder, in the order of their start."""
    found = [seen for path in folder.glob("*.log") if (seen := _read(path)) is not None]
    return sorted(found, key=lambda seen: (seen.started, seen.pid))


def read_parameters(folder: Path) -> JsonObject:
    """What the run's processes gave to `launch_jobs.track`; the last one counts."""
    found: JsonObject = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem.rpartition("-")[2]):
        try:
            found |= _PARAMETERS.validate_json(path.read_bytes())
        except ValidationError:
            continue  # not ours, or tampered with
    return found


_PARAMETERS = TypeAdapter(JsonObject)


def _read(path: Path) -> Observation | None:
    pid, _, started = path.stem.partition("-")
    gathered: dict[str, object] = {"imports": [], "written": [], "read": [], "objects": []}
    places = {"import": "imports", "write": "written", "read": "read", "object": "objects"}
    for kind, values in _facts(path):
        if kind in places:
            cast("list[object]", gathered[places[kind]]).extend(values)
        elif kind == "start":
            gathered |= cast("dict[str, object]", values[0])
        elif kind == "end":
            gathered["complete"] = True
        elif kind == "modules":
            gathered[kind] = _resolved(cast("dict[str, str | None]", values[0]))
        elif values:
            gathered[kind] = values[0]
    try:
        return Observation.model_validate(gathered | {"pid": int(pid), "started": int(started)})
    except (ValidationError, ValueError):
        return None  # the program wrote into its own journal: what it says cannot be trusted


def _facts(path: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    for line in path.read_text("ascii", errors="replace").splitlines():
        try:
            fact: object = ast.literal_eval(line)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # the last line of a process that was killed
        kind, *values = cast("tuple[object, ...]", fact) if isinstance(fact, tuple) and fact else (None,)
        if isinstance(kind, str):
            yield kind, tuple(values)


def _resolved(modules: dict[str, str | None]) -> dict[str, str | None]:
    """Files without symbolic links in their folders, as the list of installed distributions has them."""
    folder_of = cache(os.path.realpath)
    return {
        name: str(Path(folder_of(str(Path(file).parent))) / Path(file).name) if file else None
        for name, file in modules.items()
    }
