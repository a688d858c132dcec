"""Ending active runs before the embedded server goes down: queues are held meanwhile, so that nothing new starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from launch_jobs.cli.output import progress
from launch_jobs.errors import Refused, Unavailable
from launch_jobs.run import RunInfo, RunState

if TYPE_CHECKING:
    from launch_jobs.cli.session import Session

_ACTIVE = [RunState.PENDING, RunState.RUNNING, RunState.CANCELLING]
_CANCEL_S = 60
_MANY = 200


async def end_runs(session: Session, *, drain: bool, cancel: bool) -> None:
    """Return when no run is active.

    Raises:
        Refused: runs are active, and neither `drain` nor `cancel` was asked for.
        Unavailable: cancelled runs did not end in a minute.
    """
    active = await _active(session)
    if not active:
        return
    if not (drain or cancel):
        names = ", ".join(run.name for run in active[:3]) + (" …" if len(active) > 3 else "")
        raise Refused(
            f"Runs are active ({len(active)}): {names}",
            do="Wait for them with `launch down --drain`, or end them with `launch down --cancel`",
        )
    held = await _hold_queues()
    try:
        if cancel:
            await _cancel(active)
        await _until_none(session, seconds=_CANCEL_S if cancel else None)
    finally:
        await _let_go(session, held)


async def _active(session: Session) -> list[RunInfo]:
    from launch_jobs.runs import list_runs

    return await list_runs(session.store, states=_ACTIVE, limit=_MANY)


async def _hold_queues() -> list[str]:
    """Pause the queues; returns those that were not paused."""
    from launch_jobs.queue import list_queues, pause_queue

    running = [queue.name for queue in await list_queues() if not queue.paused]
    for name in running:
        await pause_queue(name)
    return running


async def _let_go(session: Session, queues: list[str]) -> None:
    """Resume queues. When all runs are over the agent goes first, else it would claim the next ones."""
    from launch_jobs.local import agent
    from launch_jobs.queue import pause_queue

    if not await _active(session):
        await asyncio.to_thread(agent.stop, session.settings)
    for name in queues:
        await pause_queue(name, paused=False)


async def _cancel(active: list[RunInfo]) -> None:
    from launch_jobs.runs import cancel_run

    for run in active:
        if run.state is not RunState.CANCELLING:
            progress(f"Cancelling {run.name}")
            try:
                await cancel_run(run.id)
            except Refused:
                progress(f"{run.name} is over")


async def _until_none(session: Session, *, seconds: float | None) -> None:
    told = 0
    try:
        async with asyncio.timeout(seconds):
            while active := await _active(session):
                if len(active) != told:
                    told = len(active)
                    progress(f"Waiting for the end of active runs: {told}")
                await asyncio.sleep(1)
    except TimeoutError:
        raise Unavailable(
            f"Cancelled runs did not end in {seconds:.0f} s", do="If no agent runs, start one with `launch up`"
        ) from None
