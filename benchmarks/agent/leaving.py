"""An agent is asked to leave by SIGTERM while runs are at work."""

from __future__ import annotations

import asyncio
import subprocess
import time

from benchmarks.agent.sides import Side
from benchmarks.serving import serving
from benchmarks.stage import Stage
from benchmarks.watching import Watcher
from launch_jobs.job import Frozen

_LIMIT_S = 60.0


class Leaving(Frozen):
    """How an agent left.

    Attributes:
        runs: at work.
        exit_s: from the signal to its end; None: it did not end in a minute.
        code: its exit code.
        containers: that ran on then.
        running: runs that the server then said to be running.
    """

    runs: int
    exit_s: float | None
    code: int | None
    containers: int
    running: int


async def leaving(side: Side, stage: Stage, seen: Watcher, count: int) -> Leaving:
    """Ask an agent with so many runs at work to leave."""
    with serving(side.agent, stage.settings.home / f"{side.queue}.log", stage.environment) as agent:
        runs = await side.held(seen, count)
        begin = time.monotonic()
        agent.terminate()
        try:
            code = await asyncio.to_thread(agent.wait, _LIMIT_S)
            exit_s = round(time.monotonic() - begin, 2)
        except subprocess.TimeoutExpired:
            code = exit_s = None
        there = len(await asyncio.to_thread(side.containers))
        states = [*(await seen.states(runs)).values()]
    await asyncio.to_thread(side.clear)
    return Leaving(runs=count, exit_s=exit_s, code=code, containers=there, running=states.count("RUNNING"))
