"""The measuring: runs one at a time and many at once, with the times that the server and the programs told."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import statistics
import subprocess
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
from prefect import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from pydantic import Field

from benchmarks.dispatch.contenders import NOOP, Contender
from benchmarks.serving import serving
from benchmarks.stage import BASE_IMAGE, Stage, cpu_s
from benchmarks.watching import Watcher, watcher
from launch_jobs.job import Frozen

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_FIRST_LINE = re.compile(r"first-line (\d+\.\d+)")


class Usage(Frozen):
    """What one run cost the server, on average."""

    api_calls: float
    server_cpu_s: float
    agent_cpu_s: float
    calls: dict[str, float]


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


async def first_lines(runs: list[UUID]) -> list[float]:
    """When each run's program said that its first line ran; its output reaches the server some time after."""
    async with get_client() as client, asyncio.timeout(60):
        return [await _first_line(client, run) for run in runs]


async def _first_line(client: PrefectClient, run: UUID) -> float:
    while True:
        logs = await client.read_logs(log_filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
        for log in logs:
            if hit := _FIRST_LINE.search(log.message):
                return float(hit[1])
        await asyncio.sleep(0.5)


async def measure(contender: Contender, stage: Stage, count: int, burst: int) -> Result:
    """Measure one contender: a run to warm up, then `count` one at a time, then `burst` at once."""
    log, environment = stage.settings.home / f"{contender.name}.log", stage.environment | contender.environment
    async with watcher(stage) as seen, AsyncExitStack() as stack:
        process = stack.enter_context(serving(contender.agent, log, environment))
        agent = psutil.Process(process.pid)
        await seen.completed([await contender.submit()])
        starting = await longest_steps(contender, agent)
        one, took, first = await _one_at_a_time(contender, _Window(stage, agent), seen, count)
        rss = agent.memory_info().rss / 2**20
        used = _Window(stage, agent)
        begin = time.time()
        runs = await asyncio.gather(*(contender.submit() for _ in range(burst)))
        burst_s = await seen.completed(runs) - begin
        return Result(
            one_first_line_s=round(statistics.median(first), 3),
            one_completed_s=round(statistics.median(took), 3),
            one_all_s=tuple(round(value, 3) for value in took),
            burst_s=round(burst_s, 2),
            burst_runs_per_min=round(burst * 60 / burst_s, 1),
            agent_rss_mb=round(rss),
            one=one,
            burst=used.per(burst),
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
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took.append(time.time() - begin)
        hit = _FIRST_LINE.search(said)
        first.append(float(hit[1]) - begin if hit else 0.0)
    begin = time.time()
    for process in [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(burst)]:
        process.wait()
    return {
        "one_first_line_s": round(statistics.median(first[1:]), 3),
        "one_completed_s": round(statistics.median(took[1:]), 3),
        "burst_s": round(time.time() - begin, 2),
    }


async def _one_at_a_time(
    contender: Contender, used: _Window, seen: Watcher, count: int
) -> tuple[Usage, list[float], list[float]]:
    begins: list[float] = []
    runs: list[UUID] = []
    took: list[float] = []
    for _ in range(count):
        begins.append(time.time())
        runs.append(await contender.submit())
        took.append(await seen.completed([runs[-1]]) - begins[-1])
    usage = used.per(count)
    first = [line - begin for line, begin in zip(await first_lines(runs), begins, strict=True)]
    return usage, took, first


class _Window:
    """What the server and an agent do from its making on."""

    def __init__(self, stage: Stage, agent: psutil.Process) -> None:
        self._stage, self._agent = stage, agent
        stage.counts()
        self._cpu_s, self._agent_cpu_s = stage.server_cpu_s(), cpu_s(agent)

    def per(self, runs: int) -> Usage:
        server, agent = self._stage.server_cpu_s() - self._cpu_s, cpu_s(self._agent) - self._agent_cpu_s
        counts = self._stage.counts()
        calls = {name: round(number / runs, 2) for name, number in sorted(counts.items(), key=lambda item: -item[1])}
        return Usage(
            api_calls=round(sum(counts.values()) / runs, 1),
            server_cpu_s=round(server / runs, 3),
            agent_cpu_s=round(agent / runs, 3),
            calls=calls,
        )
