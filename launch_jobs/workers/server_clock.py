"""The server's time, so that an agent whose own clock is wrong takes runs neither late nor early."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RESOLUTION_S = 1.0
"""Of the time in an answer's `Date`."""


class ServerClock:
    """What the server's clock shows, by the `Date` of its last answer and our monotonic clock since.

    Steps of our own clock, and how wrong it is, do not matter; until an answer was heard it is all there is.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None

    def hear(self, date: str | None, asked: float) -> None:
        """Note the `Date` of an answer to what we asked at this moment of the monotonic clock."""
        if date:
            self._ahead = parsedate_to_datetime(date).timestamp() + _RESOLUTION_S - asked

    def now(self) -> datetime:
        """The latest time that it may be there: a second too late at most, and the time that an answer takes."""
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._ahead + time.monotonic(), UTC)
