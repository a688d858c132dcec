"""Many quick submits from many clients at once: every acknowledged one ends, and no error reaches a user."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from typing import TYPE_CHECKING
from uuid import UUID

from benchmarks.agent.growth import Growth
from benchmarks.agent.memory import growth, peak
from benchmarks.serving import serving
from benchmarks.stage import Stage
from benchmarks.watching import FINAL, Watcher
from launch_jobs.job import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.agent.sides import Side

_LIMIT_S = 400.0
_PATIENCE_S = 60.0


class Told(Frozen):
    """What a client was told of one submit."""

    seconds: float
    run: UUID | None = None
    error: str | None = None


class Submits(Frozen):
    """What the clients were told.

    Attributes:
        asked: submits.
        acknowledged: submits that were given a run.
        errors: what reached a user.
        seconds: from the first submit to the last answer.
        median_s: time of one submit.
        slowest_s: time of the slowest one.
        answers: of the server to everybody meanwhile, by status.
    """

    asked: int
    acknowledged: int
    errors: tuple[str, ...]
    seconds: float
    median_s: float
    slowest_s: float
    answers: dict[str, int]

    @property
    def refused(self) -> int:
        """Answers that ask to try again."""
        return self.answers.get("429", 0) + self.answers.get("503", 0)


class Burst(Frozen):
    """What became of them.

    Attributes:
        submits: what the clients were told.
        ended_s: from the first submit until every acknowledged run was over.
        completed: runs that completed.
        otherwise: runs that ended in another way.
        lost: acknowledged runs that were not over in time.
        peak_mb: the agent's most memory by then.
        growth: of the agent's memory in runs after it.
    """

    submits: Submits
    ended_s: float | None
    completed: int
    otherwise: int
    lost: int
    peak_mb: float
    growth: Growth | None


async def burst(side: Side, stage: Stage, seen: Watcher, sizes: tuple[int, int], *, more: int) -> Burst:
    """So many submits from so many clients, while an agent serves the queue; then `more` runs for its memory."""
    runs: list[UUID] = []
    with serving(side.agent, stage.settings.home / f"{side.queue}.log", stage.environment) as agent:
        await seen.completed([await side.submit("quick", 0)])
        begin = time.time()
        submits = await submitted(side.client, stage, sizes, runs.append)
        ended = await seen.ended(runs, seconds=_LIMIT_S)
        most = peak(agent)
        grown = await growth(agent, side, seen, (len(runs) + 1, more)) if more and ended else None
    states = [*(await seen.states(runs)).values()]
    return Burst(
        submits=submits,
        ended_s=round(ended - begin, 1) if ended else None,
        completed=states.count("COMPLETED"),
        otherwise=sum(state in FINAL - {"COMPLETED"} for state in states),
        lost=len(runs) - sum(state in FINAL for state in states),
        peak_mb=most,
        growth=grown,
    )


async def submitted(words: list[str], stage: Stage, sizes: tuple[int, int], found: Callable[[UUID], object]) -> Submits:
    """Have clients submit.

    Args:
        words: what the clients are told.
        stage: where.
        sizes: submits, and clients.
        found: takes each acknowledged run as soon as it is known.
    """
    count, clients = sizes
    shares = [count // clients + (number < count % clients) for number in range(clients)]
    processes = [await _client([*words, str(share)], stage) for share in shares]
    stage.relay.answers()
    begin = time.monotonic()
    for process in processes:
        assert process.stdin
        process.stdin.write(b"go\n")
    told = [one for some in await asyncio.gather(*(_told(process, found) for process in processes)) for one in some]
    return Submits(
        asked=count,
        acknowledged=sum(one.run is not None for one in told),
        errors=tuple(one.error for one in told if one.error),
        seconds=round(time.monotonic() - begin, 1),
        median_s=round(statistics.median(one.seconds for one in told), 3),
        slowest_s=max(one.seconds for one in told),
        answers=stage.relay.answers(),
    )


async def _client(words: list[str], stage: Stage) -> Process:
    argv = [sys.executable, "-m", "benchmarks.agent.client", *words]
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, env=stage.environment)
    assert process.stdout
    async with asyncio.timeout(_PATIENCE_S):
        await process.stdout.readline()
    return process


async def _told(process: Process, found: Callable[[UUID], object]) -> list[Told]:
    assert process.stdout
    told: list[Told] = []
    async for line in process.stdout:
        told.append(Told.model_validate(json.loads(line)))
        if told[-1].run:
            found(told[-1].run)
    await process.wait()
    return told
