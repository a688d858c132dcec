"""The live part of an attempt's output: read on from its local copy, as fast as whoever shows it takes lines.

A program may print faster than any server takes it. So nothing waits in memory: lines are read from the spool's file
when they can be sent, and where too much has come meanwhile, the middle is left out, and it is said how much.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.moments import happens

_logger = logging.getLogger("launch_jobs.agent")

T = TypeVar("T")

BATCH_LINES = 1000
LAST_LINES = 200
LONGEST_LINE = 16 * 1024
MOST_BEHIND = 1 << 20
_KEPT = 64 * 1024
_READ = 256 * 1024
_SCAN = 1 << 20
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0
_LAST_WORDS_S = 60.0
_TICK = timedelta(microseconds=1)


class LiveLine(NamedTuple):
    """A line as it is shown live.

    Attributes:
        text: without its newline.
        moment: later than that of every line before it.
        left_out: lines that this one stands for; 0: it is one of the program's own.
        mark: on the last line of those sent together: attempt and byte, up to which the output was sent with it.
    """

    text: str
    moment: datetime
    left_out: int = 0
    mark: str = ""


class Sink(Protocol):
    """Where live lines go."""

    async def send(self, lines: Sequence[LiveLine]) -> None:
        """Take lines, all or none.

        Raises:
            Unavailable: nobody knows whether they arrived.
        """
        ...

    async def has(self, since: datetime) -> bool:
        """Whether any line of this moment or a later one arrived."""
        ...

    async def last_mark(self) -> str | None:
        """The latest mark that arrived."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent next.

    Attributes:
        left_out: lines left out before the others.
        lines: each without its newline.
        end: byte of the file up to which this goes.
    """

    left_out: int
    lines: tuple[bytes, ...]
    end: int


class Backlog:
    """What of a growing file was not sent yet. Reads in pieces: memory is bounded, whatever a program prints."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self._path = path
        self.position = position
        self._scanned, self._newlines, self._last = position, 0, position

    def next(self, *, is_over: bool) -> Batch | None:
        """The next lines; None if there are none yet. With `is_over` also an unfinished last one."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return None
        start, left_out = self.position, 0
        if size - start > MOST_BEHIND:
            self._scan(size - _KEPT)
            # A single line is never left out: it is cut.
            start, left_out = (self._last, self._newlines) if self._newlines > 1 else (start, 0)
        lines, end = self._lines(start, size, is_over=is_over)
        return Batch(left_out, lines, end) if lines or left_out else None

    def move(self, end: int) -> None:
        """Go on from there."""
        self.position = self._scanned = self._last = end
        self._newlines = 0

    def _lines(self, start: int, size: int, *, is_over: bool) -> tuple[tuple[bytes, ...], int]:
        data = self._read(start, _READ)
        if b"\n" in data:
            lines = data.split(b"\n", BATCH_LINES)[:-1]
            return tuple(lines), start + sum(map(len, lines)) + len(lines)
        if start + len(data) >= size:
            return ((data,), start + len(data)) if is_over and data else ((), start)
        return self._long_line(start, size, data, is_over=is_over)

    def _long_line(self, start: int, size: int, data: bytes, *, is_over: bool) -> tuple[tuple[bytes, ...], int]:
        """One line, cut; its end may not be there yet."""
        place = self._find(start, size)
        if place is None and not is_over:
            return (), start
        end = size if place is None else place
        return (data[: end - start],), end if place is None else end + 1

    def _find(self, start: int, size: int) -> int | None:
        """Where the first newline from `start` on is."""
        if start != self.position:
            self.move(start)
        if not self._newlines:
            self._scan(size, first=True)
        return self._last - 1 if self._newlines else None

    def _scan(self, target: int, *, first: bool = False) -> None:
        """Count newlines up to `target`, or look for the first one; what was scanned before is not read again."""
        while self._scanned < target and not (first and self._newlines):
            data = self._read(self._scanned, min(_SCAN, target - self._scanned))
            if not data:
                return
            found = data.find(b"\n") if first else data.rfind(b"\n")
            if found >= 0:
                self._last = self._scanned + found + 1
                data = data[: found + 1] if first else data
                self._newlines += data.count(b"\n")
            self._scanned += len(data)

    def _read(self, start: int, length: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(length)


def live_text(line: bytes) -> str:
    """A line for people: of a progress bar (`\\r`) the last state, without NUL, and not longer than a screen or two."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2]
    text = last[:LONGEST_LINE].decode(errors="replace").replace("\0", "\N{SYMBOL FOR NULL}")
    more = len(last) - LONGEST_LINE
    return f"{text} … the rest of this line is in the whole log" if more > 0 else text


def left_out_text(count: int, run: str) -> str:
    """What stands for lines that were left out."""
    return f"… {count:,} lines left out of the live log; whole log: launch logs {run}"


def last_lines(path: Path, most: int = LAST_LINES) -> tuple[str, ...]:
    """The last lines of a file, for people, however long it is."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _KEPT))
        lines = file.read().removesuffix(b"\n").split(b"\n")
    if path.stat().st_size > _KEPT:
        lines = lines[1:] or lines  # the first one may be a half
    return tuple(live_text(line) for line in lines[-most:])


class LiveLog:
    """Sends an attempt's output on while it grows, each line once, also when another agent goes on with it.

    A file beside the spool's says how far it came, and, before lines are sent, up to where they go: whoever comes after
    a crash asks the sink whether they arrived. Who has no such file, in another home, asks the sink how far they came.

    Args:
        path: of the spool.
        run: the flow run's id.
        sink: where the lines go.
        attempt: whose output it is.
        is_resumed: another agent may have sent some of it.
    """

    def __init__(self, path: Path, run: str, sink: Sink, *, attempt: int = 1, is_resumed: bool = False) -> None:
        self._cursor_path = path.with_suffix(".live")
        self._run = run
        self._sink = sink
        self._attempt = attempt
        self._is_resumed = is_resumed and not self._cursor_path.exists()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._pending: tuple[int, datetime] | None = None
        self._backlog = Backlog(path, self._recover())

    def _recover(self) -> int:
        try:
            cursor = json.loads(self._cursor_path.read_bytes())
        except (FileNotFoundError, ValueError):  # a disk that lost power may leave anything
            return 0
        self._last = datetime.fromisoformat(cursor["last"])
        if cursor["pending"]:
            self._pending = int(cursor["pending"][0]), datetime.fromisoformat(cursor["pending"][1])
        return int(cursor["position"])

    async def run(self, over: asyncio.Event) -> None:
        """Send lines until all were sent after `over`; an absent sink is waited for."""
        await self._settle()
        while True:
            is_over = over.is_set()
            batch = await asyncio.to_thread(self._backlog.next, is_over=is_over)
            if batch is not None:
                await self._deliver(batch)
            elif is_over:
                return
            await happens(over, _PAUSE_S)

    async def is_heard(self) -> bool:
        """Whether the sink answers at all."""
        with suppress(LaunchError):
            await self._sink.has(datetime.now(UTC))
            return True
        return False

    async def _settle(self) -> None:
        """Find out whether the lines that a dead agent was sending arrived, or how far they came."""
        if self._is_resumed:
            attempt, _, end = (await _patiently(self._sink.last_mark) or "").partition(".")
            self._backlog.move(int(end) if attempt == str(self._attempt) else 0)
        if self._pending is None:
            return
        end, since = self._pending
        if await _patiently(lambda: self._sink.has(since)):
            self._arrived(end, max(self._last, datetime.now(UTC)))

    async def _deliver(self, batch: Batch) -> None:
        lines = self._timed(batch)
        self._pending = batch.end, lines[0].moment
        await self._saved()
        with suppress(LaunchError):  # refused: the run's record is gone; the store gets the whole log in any case
            await self._send(lines)
        self._arrived(batch.end, lines[-1].moment)
        await self._saved()

    async def _send(self, lines: list[LiveLine]) -> None:
        is_first = True

        async def send() -> None:
            nonlocal is_first
            if is_first or not await self._sink.has(lines[0].moment):
                is_first = False
                await self._sink.send(lines)

        await _patiently(send)

    def _timed(self, batch: Batch) -> list[LiveLine]:
        """Lines are read back in the order of their times: no two are the same."""
        first = max(datetime.now(UTC), self._last + _TICK)
        note = [(left_out_text(batch.left_out, self._run), batch.left_out)] if batch.left_out else []
        texts = [*note, *((live_text(line), 0) for line in batch.lines)]
        lines = [LiveLine(text, first + _TICK * at, left_out) for at, (text, left_out) in enumerate(texts)]
        return [*lines[:-1], lines[-1]._replace(mark=f"{self._attempt}.{batch.end}")]

    def _arrived(self, end: int, last: datetime) -> None:
        self._backlog.move(end)
        self._last, self._pending = last, None

    async def _saved(self) -> None:
        """Note how far it came; a disk that is full is waited for, as long as there is anybody to wait."""
        while True:
            try:
                return await asyncio.to_thread(self._save)
            except OSError:
                await asyncio.sleep(_PAUSE_S)

    def _save(self) -> None:
        pending = [self._pending[0], self._pending[1].isoformat()] if self._pending else None
        cursor = {"position": self._backlog.position, "last": self._last.isoformat(), "pending": pending}
        temporary = self._cursor_path.with_suffix(".live-new")
        temporary.write_text(json.dumps(cursor))
        temporary.replace(self._cursor_path)


async def _patiently(call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Repeat a call while the sink is away."""
    pause = _PAUSE_S
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, pause * 2)


class Telling:
    """A live log at work beside an attempt; at the end of its body it ends where it is."""

    def __init__(self, log: LiveLog) -> None:
        self._log = log
        self._over = asyncio.Event()

    async def __aenter__(self) -> Telling:
        self._work = asyncio.ensure_future(self._log.run(self._over))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._work.cancel()
        (ended,) = await asyncio.gather(self._work, return_exceptions=True)
        if isinstance(ended, Exception):
            # It never ends a run: the whole log is in the store.
            _logger.warning("The live log broke off: %r", ended)

    def output_is_whole(self) -> None:
        """Nothing more comes."""
        self._over.set()

    async def last_words(self, patience_s: float = _LAST_WORDS_S) -> None:
        """Wait until all was sent, though not for ever: a sink that takes nothing must not keep a run from its end.

        One that does not even answer is waited for: the run's end has the same way to go.

        Args:
            patience_s: for how long a sink that answers may take nothing.
        """
        self._over.set()
        given_up = asyncio.ensure_future(self._taken_by_nobody(patience_s))
        await asyncio.wait({self._work, given_up}, return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)

    async def _taken_by_nobody(self, patience_s: float) -> None:
        """Return once the sink has answered for so long."""
        was_there = False
        while True:
            await asyncio.sleep(patience_s)
            is_there = await self._log.is_heard()
            if was_there and is_there:
                return
            was_there = is_there
