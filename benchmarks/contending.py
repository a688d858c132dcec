"""Those who are compared, and their runs of a no-op job: one at a time, and many at once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil
from prefect import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from benchmarks.stage import Stage, cpu_s
from benchmarks.watching import Watcher
from launch_jobs.job import Frozen

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

NOOP = ("sh", "-c", 'echo "first-line $(date +%s.%N)"')
"""The no-op job: says when its first line ran."""

_FIRST_LINE = re.compile(r"first-line (\d+\.\d+)")


@dataclass(frozen=True)
class Contender:
    """One way to run the no-op job through the server.

    Attributes:
        name: as in the results.
        agent: the agent's command.
        submit: enqueues one run; its id.
        environment: what the agent gets on top.
        steps: file into which the agent writes its loops' longest steps on SIGUSR1.
    """

    name: str
    agent: list[str]
    submit: Callable[[], Awaitable[UUID]]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    steps: Path | None = None


class Usage(Frozen):
    """What one run cost the server, on average."""

    api_calls: float
    server_cpu_s: float
    agent_cpu_s: float
    calls: dict[str, float]


@dataclass(frozen=True)
class Series:
    """Runs of one contender.

    Attributes:
        begins: the moment of each submit.
        runs: their ids.
        took_s: one at a time: of each, until it was completed; at once: of all together.
        usage: of one run.
    """

    begins: list[float]
    runs: list[UUID]
    took_s: list[float]
    usage: Usage

    def after_begin(self, moments: list[float]) -> list[float]:
        """Seconds from each run's submit to its moment."""
        return [moment - begin for moment, begin in zip(moments, self.begins, strict=True)]


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


@dataclass(frozen=True)
class Track:
    """Where a contender runs.

    Attributes:
        stage: the server and what is around it.
        agent: that serves the contender's queue.
        seen: of the server's database.
    """

    stage: Stage
    agent: psutil.Process
    seen: Watcher

    async def one_at_a_time(self, contender: Contender, count: int) -> Series:
        """So many runs, each submitted when the one before it was completed."""
        used = _Window(self.stage, self.agent)
        begins: list[float] = []
        runs: list[UUID] = []
        took: list[float] = []
        for _ in range(count):
            begins.append(time.time())
            runs.append(await contender.submit())
            took.append(await self.seen.completed([runs[-1]]) - begins[-1])
        return Series(begins, runs, took, used.per(count))

    async def at_once(self, contender: Contender, count: int) -> Series:
        """So many runs submitted at the same time."""
        used = _Window(self.stage, self.agent)
        begin = time.time()
        runs = await asyncio.gather(*(contender.submit() for _ in range(count)))
        took = await self.seen.completed(runs) - begin
        return Series([begin] * count, runs, [took], used.per(count))


async def first_lines(runs: list[UUID]) -> list[float]:
    """When each run's program said that its first line ran; its output reaches the server some time after."""
    async with get_client() as client, asyncio.timeout(60):
        return [await _first_line(client, run) for run in runs]


async def _first_line(client: PrefectClient, run: UUID) -> float:
    while True:
        logs = await client.read_logs(log_filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
        for log in logs:
            if (moment := said(log.message)) is not None:
                return moment
        await asyncio.sleep(0.5)


def said(text: str) -> float | None:
    """The moment of the no-op job's first line, if that is in a text."""
    found = _FIRST_LINE.search(text)
    return float(found[1]) if found else None
