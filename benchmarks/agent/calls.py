"""What an agent asks of the server: in an idle minute, and for a run."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from benchmarks.agent.sides import Side
from benchmarks.serving import serving
from benchmarks.stage import Stage
from benchmarks.watching import Watcher
from launch_jobs.job import Frozen

_SETTLED_S = 5.0


class Calls(Frozen):
    """Requests of an agent, and of what runs in its containers.

    Attributes:
        idle_minute: while nothing is to be done.
        idle: the same by method and path.
        run: for each of several runs submitted at once, without those of the submits.
        runs: how many.
        of_run: by method and path.
    """

    idle_minute: float
    idle: dict[str, float]
    run: float
    runs: int
    of_run: dict[str, float]


async def calls(side: Side, stage: Stage, seen: Watcher, idle_s: float, count: int) -> Calls:
    """Count an agent's requests while it is idle, and while it serves so many runs."""
    with stage.another_relay() as relay:
        environment = stage.environment | {"PREFECT_API_URL": relay.api_url}
        with serving(side.agent, stage.settings.home / f"{side.queue}.log", environment):
            await seen.completed([await side.submit("quick", 0)])
            await asyncio.sleep(_SETTLED_S)
            relay.counts()
            begin = time.monotonic()
            await asyncio.sleep(idle_s)
            idle, minutes = Counter(relay.counts()), (time.monotonic() - begin) / 60
            relay.counts()
            await seen.completed(await asyncio.gather(*(side.submit("quick", 0) for _ in range(count))))
            used = Counter(relay.counts())
    return Calls(
        idle_minute=round(idle.total() / minutes, 1),
        idle={name: round(number / minutes, 1) for name, number in idle.most_common()},
        run=round(used.total() / count, 1),
        runs=count,
        of_run={name: round(number / count, 2) for name, number in used.most_common()},
    )
