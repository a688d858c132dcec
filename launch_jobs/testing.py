"""Public fakes: the same protocols as the real parts, held to the same contract suites."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from launch_jobs.errors import NotFound, Refused, Unavailable
from launch_jobs.live_log import LiveLine
from launch_jobs.names import Digest, sha256
from launch_jobs.run import Place, Stopped
from launch_jobs.store import Entry
from launch_jobs.store.keys import check_key
from launch_jobs.targets import AttemptStatus, LogChunk, RunSpec
from launch_jobs.targets.outputs import OutputFolder


class MemoryObjects:
    """A job store's objects in memory, for one process: `JobStore(MemoryObjects())`."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._modified: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes:
        """The whole object."""
        check_key(key)
        try:
            return self._objects[key]
        except KeyError:
            raise NotFound(f"job store object {key} does not exist") from None

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write unless the key exists; whether we wrote."""
        return self.replace(key, data, expected=None)

    def replace(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Compare-and-set; whether we wrote."""
        check_key(key)
        with self._lock:
            if self._objects.get(key) != expected:
                return False
            self._objects[key] = bytes(data)
            self._modified[key] = datetime.now(UTC)
            return True

    def upload(self, key: str, path: Path) -> None:
        """Write a file's content; an existing object is left as it is."""
        self.put_if_absent(key, path.read_bytes())

    def download(self, key: str, path: Path) -> None:
        """Write the object into a new file."""
        data = self.get(key)
        with path.open("xb") as file:
            file.write(data)

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix, sorted."""
        check_key(prefix.removesuffix("/"))
        with self._lock:
            found = sorted(key for key in self._objects if key.startswith(prefix))
        yield from found

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """What lies under a prefix, or everything, sorted by key."""
        if prefix:
            check_key(prefix.removesuffix("/"))
        with self._lock:
            found = sorted((key, len(data)) for key, data in self._objects.items() if key.startswith(prefix))
        yield from (Entry(key, size, self._modified[key]) for key, size in found)

    def digest(self, key: str) -> Digest:
        """The digest of an object's content."""
        return sha256(self.get(key))

    def touch(self, key: str) -> None:
        """Make an object young."""
        with self._lock:
            self.get(key)
            self._modified[key] = datetime.now(UTC)

    def delete(self, key: str) -> None:
        """Remove; a missing key is no error."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def delete_older(self, key: str, before: datetime) -> bool:
        """Remove unless it was written or touched since `before`; whether it is gone."""
        check_key(key)
        with self._lock:
            if key in self._objects and self._modified[key] >= before:
                return False
            self._objects.pop(key, None)
            return True

    def unfinished(self, before: datetime, *, remove: bool = False) -> list[str]:
        """Nothing: whoever is killed takes the memory along."""
        del before, remove
        return []


class MemoryProcess:
    """What a program of a `MemoryTarget` sees of the world.

    Attributes:
        spec: what was asked for.
        files: its outputs, by path in the output folder; it fills them.
        datasets: the files of its datasets, by absolute path.
        placed: its own config files, by path in the source tree.
        stopping: set when it is politely asked to end.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.files: dict[str, bytes] = {}
        self.datasets = dict(_dataset_files(spec))
        self.placed = {file.path: file.after.encode() for file in spec.files}
        self.stopping = asyncio.Event()
        self.log = b""
        self.started = datetime.now(UTC).isoformat()
        self.ended: str | None = None
        self.exit_code: int | None = None
        self.changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Print something."""
        self.log += data
        self._tell()

    async def run(self, program: Program) -> None:
        """Run a program to its end; an exception is exit code 1."""
        try:
            self.end(await program(self))
        except Exception as error:  # noqa: BLE001 # whatever a user's program raises is its own end
            self.write(repr(error).encode())
            self.end(1)

    def end(self, exit_code: int) -> None:
        """Note the end, once."""
        if self.ended is None:
            self.exit_code, self.ended = exit_code, datetime.now(UTC).isoformat()
            self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


Program = Callable[[MemoryProcess], Awaitable[int]]
"""A program for a `MemoryTarget`: prints and writes files through its process, and returns its exit code."""


def _now() -> str:
    return datetime.now(UTC).isoformat()


class MemoryOutput:
    """Takes the live lines of attempts: a sink that is always there."""

    def __init__(self) -> None:
        self.lines: list[LiveLine] = []

    @property
    def texts(self) -> list[str]:
        """The lines' texts."""
        return [line.text for line in self.lines]

    async def send(self, lines: Sequence[LiveLine]) -> None:
        """Take lines."""
        self.lines += lines

    async def has(self, since: datetime) -> bool:
        """Whether any line of this moment or a later one is here."""
        return any(line.moment >= since for line in self.lines)

    async def last_mark(self) -> str | None:
        """The latest mark."""
        return next((line.mark for line in reversed(self.lines) if line.mark), None)


class MemoryTarget:
    """A target that runs one Python coroutine instead of every command; its attempts live as long as its event loop.

    Args:
        program: what each attempt runs; it may look at `process.spec.command`.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._processes: dict[str, MemoryProcess] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def place(self, name: str) -> Place:
        """Where an attempt of this name would live."""
        return Place(kind="process", host="memory", name=name)

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Start the attempt if its name is free, else adopt it.

        Raises:
            Refused: the name belongs to another run or attempt.
        """
        process = self._processes.get(spec.name)
        if process is None:
            process = self._processes[spec.name] = MemoryProcess(spec)
            self._tasks[spec.name] = asyncio.create_task(process.run(self._program))
        if process.spec.labels != spec.labels:
            raise Refused(f"{spec.name} belongs to another run or attempt")
        return _memory_status(process)

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        process = self._find(place)
        return _memory_status(process) if process else None

    async def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from byte `since` until the attempt ends."""
        offset = int(since or 0)
        while process := self._find(place):
            changed, is_over = process.changed, process.ended is not None
            if data := process.log[offset:]:
                offset += len(data)
                yield LogChunk(data, str(offset))
            elif is_over:
                return
            else:
                await changed.wait()

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """Ask the program to end, and cancel it after the grace."""
        process = self._find(place)
        if process is None or process.ended is not None:
            return None
        task, asked = self._tasks[place.name], _now()
        process.stopping.set()
        await asyncio.wait([task], timeout=grace_s)
        killed = None if task.done() else _now()
        task.cancel()
        await asyncio.wait([task])
        process.end(137)
        return Stopped(signalled=asked, killed=killed, gone=_now())

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Write the program's files into a folder; return the paths left out."""
        process = self._find(place)
        if process is None:
            raise NotFound(f"{place} is gone, and its outputs with it")
        outputs = OutputFolder(into, spec.output_limit_bytes)
        for path, data in process.files.items():
            outputs.keep(PurePosixPath(path), len(data), io.BytesIO(data))
        return outputs.left_out

    async def remove(self, place: Place) -> None:
        """Forget the attempt. Nothing there is no error."""
        await self.stop(place, 0)
        self._processes.pop(place.name, None)
        self._tasks.pop(place.name, None)

    def _find(self, place: Place) -> MemoryProcess | None:
        if place.host != "memory":
            raise Unavailable(f"{place} is elsewhere")
        return self._processes.get(place.name)


def _dataset_files(spec: RunSpec) -> Iterator[tuple[str, bytes]]:
    for path, folder in spec.datasets.items():
        if Path(folder).is_file():
            yield path, Path(folder).read_bytes()
        for file in Path(folder).rglob("*"):
            if file.is_file():
                yield f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes()


def _memory_status(process: MemoryProcess) -> AttemptStatus:
    state = "running" if process.ended is None else "exited"
    return AttemptStatus(state, exit_code=process.exit_code, started=process.started, ended=process.ended)
