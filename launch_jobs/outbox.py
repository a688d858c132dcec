"""One call for several runs: what they tell the server at about the same time goes there together.

An agent with a hundred runs that print would else make a hundred calls a second, which cost the server most of a core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from launch_jobs.errors import LaunchError, Unavailable

Entry = TypeVar("Entry")

PAUSE_S = 0.3
"""Between calls; the first one after a longer silence is made at once."""

LARGEST = 1 << 18
"""Size of a parcel. What fills half of one goes at once, and alone: somebody prints as fast as it is taken."""


@dataclass(eq=False, slots=True)
class _Parcel(Generic[Entry]):
    """What goes in one call.

    Attributes:
        entries: of all who joined.
        size: of the entries.
        answer: None once they have arrived, else why not.
        is_joint: whether they are of several senders.
    """

    entries: list[Entry]
    size: int
    answer: asyncio.Future[LaunchError | None]
    is_joint: bool = False


class Outbox(Generic[Entry]):
    """Joins what is sent within a moment; of one event loop. Nothing works behind the senders: the first one calls.

    Args:
        call: sends entries, all or none.
        size: of an entry.
    """

    def __init__(
        self, call: Callable[[Sequence[Entry]], Coroutine[object, object, None]], size: Callable[[Entry], int]
    ) -> None:
        self._call = call
        self._size = size
        self._open: _Parcel[Entry] | None = None
        self._turn = 0.0

    async def send(self, entries: Sequence[Entry]) -> None:
        """Send entries, all or none, perhaps together with those of others.

        Raises:
            Unavailable: nobody knows whether they arrived.
            LaunchError: they are refused.
        """
        size = sum(map(self._size, entries))
        if size >= LARGEST // 2:
            await self._call(entries)
            return
        parcel = self._open
        if parcel is not None and parcel.size + size <= LARGEST:
            parcel.entries += entries
            parcel.size += size
            parcel.is_joint = True
            error = await asyncio.shield(parcel.answer)
        else:
            parcel = self._open = _Parcel([*entries], size, asyncio.get_running_loop().create_future())
            error = await self._deliver(parcel)
        if error is not None and parcel.is_joint and not isinstance(error, Unavailable):
            await self._call(entries)  # whoever's it was that is refused: none has arrived
        elif error is not None:
            raise error

    async def _deliver(self, parcel: _Parcel[Entry]) -> LaunchError | None:
        error: LaunchError | None = Unavailable(
            "Whoever was to send this for others was stopped", do="Ask, and try again"
        )
        try:
            await asyncio.sleep(self._until_turn())
            self._close(parcel)
            await self._call(parcel.entries)
            error = None
        except LaunchError as raised:
            error = raised
        finally:
            self._close(parcel)
            parcel.answer.set_result(error)
        return error

    def _close(self, parcel: _Parcel[Entry]) -> None:
        """Let nobody join any more."""
        if self._open is parcel:
            self._open = None

    def _until_turn(self) -> float:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._turn)
        self._turn = turn + PAUSE_S
        return turn - now
