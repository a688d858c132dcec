"""Waiting for an event with a limit."""

from __future__ import annotations

import asyncio

import pytest

from launch_jobs.moments import happens

pytestmark = pytest.mark.anyio


async def test_a_cancel_that_comes_together_with_the_event_counts() -> None:
    """Whoever stops a task that waits would wait for it for ever."""
    event = asyncio.Event()
    waiting = asyncio.ensure_future(happens(event, 60))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_it_says_whether_the_event_has_happened() -> None:
    """In time, or not."""
    event = asyncio.Event()
    assert not await happens(event, 0.01)
    event.set()
    assert await happens(event, 60)
