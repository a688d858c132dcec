"""A container's log, readable again from exactly where a reader left it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import datetime

from launch_jobs.engine import Engine
from launch_jobs.errors import BadInput, LaunchError
from launch_jobs.targets import LogChunk
from launch_jobs.targets.container_stream import ContainerStream

_LAG_S = 5
_FULL = 4 << 20


@dataclass(slots=True)
class LogCursor:
    """A place in a log whose lines can only be asked for by time.

    The engine keeps lines in a fixed order, but their times may run backwards a little: stdout and stderr are stamped
    before they are written. So a place is "so many lines after the first one of second `anchor`", and a second becomes
    the anchor only when, for some seconds, every line before it was older and none after it was.

    Attributes:
        anchor: seconds since 1970 to ask the engine from; 0: from the beginning.
        count: lines that the engine sends from there up to this place.
        total: lines from the beginning up to this place.
    """

    anchor: int = 0
    count: int = 0
    total: int = 0
    _candidate: int | None = field(default=None, init=False)
    _since_candidate: int = field(default=0, init=False)
    _newest: int = field(default=-1, init=False)

    @classmethod
    def parse(cls, text: str) -> LogCursor:
        """Read what `str` wrote.

        Raises:
            BadInput: it is none of ours.
        """
        try:
            anchor, count, total = (int(part) for part in text.split(":"))
        except ValueError as error:
            raise BadInput(f"{text[:80]!r} is no place in a container's log") from error
        return cls(anchor, count, total)

    def rewound(self) -> LogCursor:
        """Where the engine begins when asked for this place's anchor."""
        return LogCursor(self.anchor, 0, self.total - self.count)

    def advance(self, second: int) -> None:
        """Pass a line that is stamped in this second."""
        self.total += 1
        self.count += 1
        self._since_candidate += 1
        if second < self.anchor:  # the clock was set back: only the whole log is in a known order
            self.anchor, self.count, self._candidate = 0, self.total, None
        if self._candidate is not None and second < self._candidate:
            self._candidate = None
        if self._candidate is not None and second >= self._candidate + _LAG_S:
            self.anchor, self.count, self._candidate = self._candidate, self._since_candidate, None
        if second > self._newest:
            self._newest = second
            if self._candidate is None:
                self._candidate, self._since_candidate = second, 1

    def __str__(self) -> str:
        return f"{self.anchor}:{self.count}:{self.total}"


class LogReader:
    """Brings lines from a thread that waits for the engine to a coroutine, which takes them as fast as it likes."""

    def __init__(self, since: str | None) -> None:
        self._begin = LogCursor.parse(since) if since else LogCursor()
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0
        self._offset = ""
        self._stream: ContainerStream | None = None
        self._is_over = False
        self._is_closed = False
        self._error: LaunchError | None = None

    async def take(self) -> LogChunk | None:
        """All that came since the last time; None when the engine sends no more.

        Raises:
            LaunchError: the engine refuses, or does not answer.
        """
        await self._ready.wait()
        with self._changed:
            self._ready.clear()
            lines, offset, self._lines, self._size = self._lines, self._offset, [], 0
            self._changed.notify()
            if self._is_over:
                self._ready.set()
        if lines:
            return LogChunk(b"".join(lines), offset)
        if self._error:
            raise self._error
        return None

    def close(self) -> None:
        """End the thread, also one that waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            if self._stream and not self._is_over:
                self._stream.close()

    def run(self, engine: Engine, container: str, *, follow: bool) -> None:
        """The thread's work: read until the engine sends no more, or the reader is closed."""
        error: LaunchError | None = None
        try:
            self._read(engine, container, follow=follow)
        except LaunchError as raised:
            error = raised
        with self._changed:
            self._is_over, self._error = True, error
        self._wake()

    def _read(self, engine: Engine, container: str, *, follow: bool) -> None:
        cursor, seen = self._begin.rewound(), self._begin.total
        stream = ContainerStream(engine, container, since=cursor.anchor, follow=follow)
        self._attach(stream)
        stamp, second = b"", 0
        for frame in stream:
            time, _, line = frame.partition(b" ")
            if time[:19] != stamp:
                stamp = time[:19]
                second = int(datetime.fromisoformat(stamp.decode() + "+00:00").timestamp())
            cursor.advance(second)
            if cursor.total > seen and not self._put(line, cursor):
                return

    def _attach(self, stream: ContainerStream) -> None:
        with self._changed:
            self._stream = stream
            if self._is_closed:
                stream.close()

    def _put(self, line: bytes, cursor: LogCursor) -> bool:
        """Hand over a line, waiting while the coroutine is slow; whether anybody still wants it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._size < _FULL)
            was_empty = not self._lines
            self._lines.append(line)
            self._size += len(line)
            self._offset = str(cursor)
            is_wanted = not self._is_closed
        if was_empty and is_wanted:
            self._wake()
        return is_wanted

    def _wake(self) -> None:
        if not self._is_closed:
            self._loop.call_soon_threadsafe(self._ready.set)
