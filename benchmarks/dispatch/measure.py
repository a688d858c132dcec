"""The measuring: runs one at a time and many at once, with the times that the server and the programs told."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import subprocess
import time
from contextlib import AsyncExitStack
from typing import Any

import psutil
from pydantic import Field

from benchmarks.contending import NOOP, Contender, Track, Usage, first_lines, said
from benchmarks.serving import serving
from benchmarks.stage import BASE_IMAGE, Stage
from benchmarks.watching import watcher
from launch_jobs.job import Frozen


class Result(Frozen):
    """What was measured of one contender; times are medians, in seconds."""

    one_first_line_s: float
    one_completed_s: float
    one_all_s: tuple[float, ...]
    burst_s: float
    burst_runs_per_min: float
    agent_rss_mb: float
    one: Usage
    burst: Usage
    loop: dict[str, Any] = Field(default_factory=dict)


async def measure(contender: Contender, stage: Stage, count: int, burst: int) -> Result:
    """Measure one contender: a run to warm up, then `count` one at a time, then `burst` at once."""
    log, environment = stage.settings.home / f"{contender.name}.log", stage.environment | contender.environment
    async with watcher(stage) as seen, AsyncExitStack() as stack:
        process = stack.enter_context(serving(contender.agent, log, environment))
        agent = psutil.Process(process.pid)
        await seen.completed([await contender.submit()])
        starting = await longest_steps(contender, agent)
        track = Track(stage, agent, seen)
        one = await track.one_at_a_time(contender, count)
        first = one.after_begin(await first_lines(one.runs))
        rss = agent.memory_info().rss / 2**20
        many = await track.at_once(contender, burst)
        [burst_s] = many.took_s
        return Result(
            one_first_line_s=round(statistics.median(first), 3),
            one_completed_s=round(statistics.median(one.took_s), 3),
            one_all_s=tuple(round(value, 3) for value in one.took_s),
            burst_s=round(burst_s, 2),
            burst_runs_per_min=round(burst * 60 / burst_s, 1),
            agent_rss_mb=round(rss),
            one=one.usage,
            burst=many.usage,
            loop={"starting": starting, "serving": await longest_steps(contender, agent)},
        )


async def longest_steps(contender: Contender, agent: psutil.Process) -> dict[str, Any]:
    """The longest steps of the agent's event loops since the last call, in ms; of ours only."""
    if contender.steps is None:
        return {}
    contender.steps.unlink(missing_ok=True)
    agent.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(10):
        while not contender.steps.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
    return json.loads(contender.steps.read_text())


def plain(count: int, burst: int) -> dict[str, float]:
    """`docker run --rm` of the no-op job: medians one at a time, and the time of many at once, in seconds."""
    command = ["docker", "run", "--rm", BASE_IMAGE, *NOOP]
    first: list[float] = []
    took: list[float] = []
    for _ in range(count + 1):
        begin = time.time()
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took.append(time.time() - begin)
        first.append((said(printed) or begin) - begin)
    begin = time.time()
    for process in [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(burst)]:
        process.wait()
    return {
        "one_first_line_s": round(statistics.median(first[1:]), 3),
        "one_completed_s": round(statistics.median(took[1:]), 3),
        "burst_s": round(time.time() - begin, 2),
    }
