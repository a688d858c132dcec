"""Waiting for an event with a limit."""

from __future__ import annotations

import asyncio

import pytest

from launch_jobs.moments import ending_with, happens

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


async def test_tasks_end_with_their_body_also_if_that_is_cancelled() -> None:
    """Nothing goes on for a run that was left to another agent."""
    at_work = asyncio.Event()

    async def work() -> None:
        at_work.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(work())

    async def body() -> None:
        async with ending_with(task):
            await asyncio.wait({task})

    waiting = asyncio.ensure_future(body())
    await at_work.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert task.cancelled()
