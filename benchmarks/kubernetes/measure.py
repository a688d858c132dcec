"""The measuring: a no-op's way from its submit to its pod at work and to its end, by each contender."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from benchmarks.contending import NOOP, Contender, Track, Usage, first_lines, said
from benchmarks.kubernetes.sightings import watched
from benchmarks.kubernetes.space import Space, counted_api
from benchmarks.serving import serving
from benchmarks.stage import BASE_IMAGE, Stage
from benchmarks.watching import watcher
from launch_jobs.job import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTLED_S = 5.0


class Times(Frozen):
    """Seconds; of runs one at a time medians.

    Attributes:
        first_line_s: from the submit to the first line of the user's program, by its own clock.
        running_s: to the moment when the API server says that the pod's program has started.
        completed_s: to the moment when it is told to be completed: by Prefect, of plain kubectl by its Job.
        all_s: the same of every run.
        burst_running_s: many at once: until the last pod's program has started.
        burst_s: until all are completed.
    """

    first_line_s: float
    running_s: float
    completed_s: float
    all_s: tuple[float, ...]
    burst_running_s: float
    burst_s: float


class Requests(Frozen):
    """Requests of an agent to the API server.

    Attributes:
        idle_minute: while nothing is to be done.
        run: for each of some runs at once.
        of_run: the same by method and path.
    """

    idle_minute: float
    run: float
    of_run: dict[str, float]


class Result(Frozen):
    """What was measured of one contender.

    Attributes:
        agent_mb: its agent's resident memory after the runs one at a time.
        one, burst: what a run cost the Prefect server.
    """

    times: Times
    agent_mb: float | None = None
    one: Usage | None = None
    burst: Usage | None = None
    requests: Requests | None = None


async def measure(contender: Contender, stage: Stage, space: Space, count: int, burst: int) -> Result:
    """Measure one contender: a run to warm up, then `count` one at a time, then `burst` at once."""
    log, environment = stage.settings.home / f"{contender.name}.log", stage.environment | contender.environment
    async with watcher(stage) as seen, watched(space.name, "pods") as pods:
        with serving(contender.agent, log, environment) as process:
            track = Track(stage, psutil.Process(process.pid), seen)
            await seen.completed([await contender.submit()])
            one = await track.one_at_a_time(contender, count)
            lines, memory = one.after_begin(await first_lines(one.runs)), track.agent.memory_info().rss / 2**20
            many = await track.at_once(contender, burst)
        running = [series.after_begin(await pods.of([*map(str, series.runs)])) for series in (one, many)]
    times = _times((lines, running[0], one.took_s), (max(running[1]), many.took_s[0]))
    return Result(times=times, agent_mb=round(memory, 1), one=one.usage, burst=many.usage)


async def plain(space: Space, count: int, burst: int) -> Result:
    """The same with `kubectl create job`, which nobody waits for: its Job says when it is complete."""
    async with watched(space.name, "pods") as pods, watched(space.name, "jobs") as jobs:
        one: list[tuple[float, float, float]] = []
        for number in range(count + 1):
            name, begin = f"one-{number}", time.time()
            await space.create_job(name, BASE_IMAGE, NOOP)
            [ended], [running] = await jobs.of([name]), await pods.of([name])
            line = said(space.kubectl("logs", f"job/{name}")) or begin
            one.append((line - begin, running - begin, ended - begin))
        names, begin = [f"many-{number}" for number in range(burst)], time.time()
        await asyncio.gather(*(space.create_job(name, BASE_IMAGE, NOOP) for name in names))
        ended, running = max(await jobs.of(names)), max(await pods.of(names))
    lines, runs, ends = zip(*one[1:], strict=True)
    return Result(times=_times((lines, runs, ends), (running - begin, ended - begin)))


async def count_requests(contender: Contender, stage: Stage, seconds: float, count: int) -> Requests:
    """Count what an agent asks of the API server while it is idle, and for some runs at once."""
    log = stage.settings.home / f"{contender.name}-counted.log"
    with counted_api(stage) as (relay, kubeconfig):
        environment = stage.environment | contender.environment | {"KUBECONFIG": str(kubeconfig)}
        async with watcher(stage) as seen:
            with serving(contender.agent, log, environment):
                await seen.completed([await contender.submit()])
                await asyncio.sleep(_SETTLED_S)
                relay.counts()
                await asyncio.sleep(seconds)
                idle = Counter(relay.counts())
                await seen.completed(await asyncio.gather(*(contender.submit() for _ in range(count))))
                used = Counter(relay.counts())
    return Requests(
        idle_minute=round(idle.total() * 60 / seconds, 1),
        run=round(used.total() / count, 1),
        of_run={name: round(number / count, 2) for name, number in used.most_common()},
    )


def _times(one: tuple[Sequence[float], ...], many: tuple[float, float]) -> Times:
    """Of runs one at a time their first lines, their starts, their ends; of many at once their last start and end."""
    line, running, completed = (round(statistics.median(some), 3) for some in one)
    return Times(
        first_line_s=line,
        running_s=running,
        completed_s=completed,
        all_s=tuple(round(seconds, 3) for seconds in one[2]),
        burst_running_s=round(many[0], 2),
        burst_s=round(many[1], 2),
    )
