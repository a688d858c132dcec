"""The output of one container, read on from any place: the kubelet can be asked for lines by their second only."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from launch_jobs.cluster import Cluster
from launch_jobs.errors import BadInput

_WINDOW_NS = 1_000_000_000
_SECOND_NS = 1_000_000_000
_LONGEST = 1 << 20


@dataclass(slots=True)
class LogPosition:
    """A place in a container's log.

    Lines are in a fixed order, but their times may run backwards a little, for stdout and stderr are stamped before
    they are written; and older lines go when the kubelet rotates the file. So a place is the newest time that was seen,
    and how many lines of the second before it were.

    Attributes:
        newest: nanoseconds since 1970; 0: the beginning.
        seen: lines later than a second before that, up to this place.
    """

    newest: int = 0
    seen: int = 0
    _recent: list[int] = field(default_factory=list[int], init=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> LogPosition:
        """Read what `str` wrote.

        Raises:
            BadInput: it is none of ours.
        """
        try:
            newest, seen = (int(part) for part in text.split(":"))
        except ValueError as error:
            raise BadInput(f"{text[:80]!r} is no place in a container's log") from error
        return cls(newest, seen)

    @property
    def since(self) -> str | None:
        """The second to ask from; None: the beginning."""
        if not self.newest:
            return None
        return datetime.fromtimestamp((self.newest - _WINDOW_NS) // _SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, moment: int) -> None:
        """Pass a line of this time."""
        self.newest = max(self.newest, moment)
        heapq.heappush(self._recent, moment)
        while self._recent[0] <= self.newest - _WINDOW_NS:
            heapq.heappop(self._recent)
        self.seen = len(self._recent)

    def __str__(self) -> str:
        return f"{self.newest}:{self.seen}"


async def read_on(
    cluster: Cluster, pod: str, container: str, position: LogPosition, *, follow: bool
) -> AsyncGenerator[list[bytes]]:
    """What a container printed after a position, as lines, which are counted into it as they are given.

    Without `follow` also the unfinished last line: of a container that has ended there comes no more.

    Raises:
        NotFound, BadInput: there is no such container, or it has no log yet.
        Unavailable: the stream broke; the position is where it did.
    """
    query = {"container": container, "timestamps": "true", "follow": str(follow).lower()}
    if position.since:
        query["sinceTime"] = position.since
    resumed = _Resumed(position)
    rest = b""
    async with aclosing(cluster.stream(f"{pod}/log", query)) as chunks:
        async for chunk in chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            fresh = [line + b"\n" for line in map(resumed.new, whole) if line is not None]
            if fresh:
                yield fresh
    if rest and not follow and (last := resumed.new(rest)) is not None:
        yield [last]


class _Resumed:
    """Tells lines that are new from those before a position, which come again."""

    def __init__(self, position: LogPosition) -> None:
        self._position = position
        self._newest = position.newest
        self._after = position.newest - _WINDOW_NS if position.newest else 0
        self._to_skip = position.seen
        self._known = LogPosition()

    def new(self, stamped: bytes) -> bytes | None:
        """The line without its time, counted; None if it was seen before."""
        stamp, _, line = stamped.partition(b" ")
        moment = _nanoseconds(stamp)
        if moment <= self._after:
            return None
        self._known.advance(moment)
        if self._to_skip and moment <= self._newest:
            self._to_skip -= 1
            return None
        known = self._known
        self._position.newest, self._position.seen = known.newest, known.seen
        return line


def _nanoseconds(stamp: bytes) -> int:
    """Of `2026-11-23T19:11:52.052080332Z`; as many digits as there are."""
    text = stamp.decode("ascii", errors="replace")
    try:
        seconds, _, fraction = text.rstrip("Z").partition(".")
        whole = int(datetime.fromisoformat(seconds + "+00:00").timestamp())
        return whole * _SECOND_NS + int(fraction.ljust(9, "0")[:9] or 0)
    except ValueError:
        return 1 << 62  # no time: a line that is certainly new
