"""How much memory an agent takes: idle, with many runs at work, and after many runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil

from benchmarks.agent.growth import Growth, grown
from benchmarks.agent.sides import Side
from benchmarks.serving import serving
from benchmarks.stage import Stage
from benchmarks.watching import Watcher
from launch_jobs.job import Frozen

if TYPE_CHECKING:
    import subprocess

_IN_FLIGHT = 8
_SETTLED_S = 3.0


class Memory(Frozen):
    """Resident memory of an agent, in MB."""

    idle: float
    at_work: float
    runs: int
    threads: int


def megabytes(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of an agent now."""
    return round(psutil.Process(process.pid).memory_info().rss / 2**20, 1)


async def memory(side: Side, stage: Stage, seen: Watcher, count: int, *, told: bool = True) -> Memory:
    """An agent's memory with no run, after it has served one, and with so many at work.

    Args:
        side: whose.
        stage: where.
        seen: of its database.
        count: how many.
        told: whether the server is told that runs are at work; a program without a flow tells it nothing.
    """
    with serving(side.agent, stage.settings.home / f"{side.queue}.log", stage.environment) as agent:
        if told:
            await seen.completed([await side.submit("quick", 0)])
        await asyncio.sleep(_SETTLED_S)
        idle = megabytes(agent)
        if told:
            await side.held(seen, count)
        else:
            await asyncio.gather(*(side.submit("hold", 0) for _ in range(count)))
            await side.containers_run(count)
        await asyncio.sleep(_SETTLED_S)
        at_work, threads = megabytes(agent), psutil.Process(agent.pid).num_threads()
    await asyncio.to_thread(side.clear)
    return Memory(idle=idle, at_work=at_work, runs=count, threads=threads)


def peak(process: subprocess.Popen[bytes]) -> float:
    """The most that it ever was, as the kernel counted."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 2**10, 1)


async def growth(agent: subprocess.Popen[bytes], side: Side, seen: Watcher, sizes: tuple[int, int]) -> Growth:
    """An agent's memory while it serves runs, a few at a time; measured when none is at work.

    Args:
        agent: that serves.
        side: whose it is.
        seen: of its database.
        sizes: runs that it has served before, and how many more it is to serve.
    """
    before, more = sizes
    points = [(before, megabytes(agent))]
    while points[-1][0] < before + more:
        runs: list[UUID] = await asyncio.gather(*(side.submit("quick", 0) for _ in range(_IN_FLIGHT)))
        await seen.completed(runs)
        points.append((points[-1][0] + _IN_FLIGHT, megabytes(agent)))
    return grown(points)
