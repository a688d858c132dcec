"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer than that; whether it has happened.

    Not `asyncio.wait_for`: on Python 3.11 that loses a cancel which comes together with the event.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
