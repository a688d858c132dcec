"""Waiting for an event, but not for ever; and tasks that end with whoever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer than that; whether it has happened.

    Not `asyncio.wait_for`: on Python 3.11 that loses a cancel which comes together with the event.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


@asynccontextmanager
async def ending_with(*tasks: asyncio.Future[Any]) -> AsyncGenerator[None]:  # whatever they give
    """Tasks that end with the body, also if that is cancelled: `asyncio.wait` would leave them at work."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
