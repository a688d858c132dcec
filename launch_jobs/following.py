"""From the making of an attempt to its end: its start awaited, its output read, stopped on cancel or time-out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from launch_jobs.conclusion import Halt
from launch_jobs.context import LaunchContext
from launch_jobs.moments import ending_with
from launch_jobs.patience import reach
from launch_jobs.preparation import Resolved
from launch_jobs.run import Place, Reason, Stopped
from launch_jobs.spool import Spool
from launch_jobs.targets import AttemptStatus, Scheduling, Target


async def started(
    context: LaunchContext, resolved: Resolved, place: Place, status: AttemptStatus, grace_s: float
) -> tuple[AttemptStatus, Halt | None]:
    """Wait until an attempt that is given its machine by others has started, or is over; end it on cancel or too late.

    Its time limit counts from the start, the start deadline from when it was made.
    """
    target = context.target
    if status.state != "created" or not isinstance(target, Scheduling):
        return status, None
    told = [""]

    async def listen() -> None:
        async for reason in target.waiting(place):
            told[0] = reason

    listening = asyncio.ensure_future(reach(listen))
    asked = asyncio.ensure_future(context.cancelled.wait())
    limit = _since(status.created, resolved.configuration.start_deadline)
    halt = None
    async with ending_with(asked, listening):
        await asyncio.wait({listening, asked}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            reason = Reason.CANCELLED if asked.done() else Reason.START_DEADLINE
            halt = replace(await halted(target, place, reason, grace_s), detail=told[0])
    return await reach(lambda: target.status(place)) or status, halt


async def follow(
    context: LaunchContext, place: Place, spool: Spool, seconds: float | None, grace_s: float
) -> Halt | None:
    """Read the attempt's output to its end; stop it on cancel or time-out, and prove that it is over."""

    async def pump() -> None:
        async for chunk in context.target.logs(place, spool.offset):
            # In a thread: a disk may be slow.
            await asyncio.to_thread(spool.write, chunk)

    pumping = asyncio.ensure_future(reach(pump))
    asked = asyncio.ensure_future(context.cancelled.wait())
    halt = None
    async with ending_with(asked, pumping):
        await asyncio.wait({pumping, asked}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not pumping.done():
            reason = Reason.CANCELLED if asked.done() else Reason.TIMEOUT
            halt = await halted(context.target, place, reason, grace_s)
        await pumping
    return halt


async def halted(target: Target, place: Place, reason: Reason, grace_s: float) -> Halt:
    """End an attempt, however long its infrastructure needs for it."""
    asked = datetime.now(UTC).isoformat()
    proof = await reach(lambda: target.stop(place, grace_s))
    # It may have ended by itself just now: that nothing runs is what counts.
    proof = proof or Stopped(gone=datetime.now(UTC).isoformat())
    return Halt(reason, proof.model_copy(update={"asked": asked}))


def _since(moment: str | None, limit: float | None) -> float | None:
    if limit is None:
        return None
    begun = datetime.fromisoformat(moment) if moment else datetime.now(UTC)
    return max(0.0, limit - (datetime.now(UTC) - begun).total_seconds())


def seconds_left(status: AttemptStatus, limit: float | None) -> float | None:
    """What is left of a time limit; None: there is none."""
    return _since(status.started, limit)
