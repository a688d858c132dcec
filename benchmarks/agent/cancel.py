"""How soon a cancelled run is gone, and whether it is told to be Cancelled before."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Literal
from uuid import UUID

from benchmarks.agent.sides import Program, Side
from benchmarks.serving import serving
from benchmarks.stage import Stage
from benchmarks.watching import FINAL, Watcher
from launch_jobs.job import Frozen

Phase = Literal["queued", "running", "stubborn"]
_AT_WORK: dict[Phase, Program] = {"running": "hold", "stubborn": "stubborn"}
_LOOK_S = 0.05


class Cancel(Frozen):
    """Cancels in one phase; times from the asking, medians, None: not within the limit.

    Attributes:
        times: how often it was tried.
        gone_s: until no container of the run ran.
        told_s: until the run was over for the server.
        state: the last run's state then.
        early: runs that were told to be Cancelled while their container ran.
        limit_s: how long was waited.
    """

    times: int
    gone_s: float | None
    told_s: float | None
    state: str
    early: int
    limit_s: float


class Cancels(Frozen):
    """What was found, by phase."""

    phases: dict[Phase, Cancel]


class One(Frozen):
    """One cancel, as `Cancel`."""

    gone_s: float | None
    told_s: float | None
    state: str
    is_early: bool


async def cancels(
    side: Side, stage: Stage, seen: Watcher, phases: dict[Phase, int], *, limit_s: float = 60.0
) -> Cancels:
    """Cancel so many runs in each phase; the queued ones have no agent yet."""
    found: dict[Phase, Cancel] = {}
    queued = [await _cancelled(side, seen, await side.submit("hold", 0), limit_s) for _ in range(phases["queued"])]
    if queued:
        found["queued"] = _together(queued, limit_s)
    with serving(side.agent, stage.settings.home / f"{side.queue}.log", stage.environment):
        for phase, program in _AT_WORK.items():
            ones: list[One] = []
            for _ in range(phases[phase]):
                run = await side.submit(program, 0)
                await side.at_work(seen, [run])
                ones.append(await _cancelled(side, seen, run, limit_s))
                await asyncio.to_thread(side.clear)
            if ones:
                found[phase] = _together(ones, limit_s)
    return Cancels(phases=found)


async def _cancelled(side: Side, seen: Watcher, run: UUID, limit_s: float) -> One:
    begin = time.monotonic()
    await side.cancel(run)
    gone, told, state, is_early = None, None, "", False
    while (gone is None or told is None) and time.monotonic() < begin + limit_s:
        # The state first: a container that runs after Cancelled was seen was not gone by then.
        state = (await seen.states([run]))[run]
        is_there = run in await asyncio.to_thread(side.containers)
        now = round(time.monotonic() - begin, 2)
        is_early = is_early or (state == "CANCELLED" and is_there)
        gone = now if gone is None and not is_there else gone
        told = now if told is None and state in FINAL else told
        await asyncio.sleep(_LOOK_S)
    return One(gone_s=gone, told_s=told, state=state, is_early=is_early)


def _together(ones: list[One], limit_s: float) -> Cancel:
    return Cancel(
        times=len(ones),
        gone_s=_median([one.gone_s for one in ones]),
        told_s=_median([one.told_s for one in ones]),
        state=ones[-1].state,
        early=sum(one.is_early for one in ones),
        limit_s=limit_s,
    )


def _median(times: list[float | None]) -> float | None:
    found = [time for time in times if time is not None]
    return round(statistics.median(found), 2) if len(found) == len(times) else None
