"""Eight claimers that race for the runs of one queue, with our door (`Admission`) or as a stock worker claims.

`python tests/faults/claim_races.py [ROUNDS [RUNS]]` on the server of PREFECT_API_URL prints the figures of decision
record 6.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Completed, Running

from launch_jobs.client import connect, create_run
from launch_jobs.queue import create_queue, delete_queue
from launch_jobs.workers.admission import Admission, Limit

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

CLAIMERS = 8


@dataclass
class Race:
    """What happened: each run's claims (by the server's clock) and its time in hand (by ours), as submitted."""

    limit: int
    runs: list[UUID]
    guarded: bool = True
    claims: dict[UUID, list[datetime]] = field(default_factory=dict[UUID, "list[datetime]"])
    spans: dict[UUID, tuple[float, float]] = field(default_factory=dict[UUID, "tuple[float, float]"])
    given_back: int = 0

    @property
    def most_at_once(self) -> int:
        """The largest number of runs in hand at one time."""
        spans = self.spans.values()
        return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)

    @property
    def inversions(self) -> int:
        """How often a run was claimed, for good, before the one submitted right before it."""
        last = [self.claims[run][-1] for run in self.runs]
        return sum(after < before for before, after in pairwise(last))


async def race(limit: int, runs: int, *, guarded: bool = True, work_s: float = 0.1) -> Race:
    """Let the claimers race until all runs of a queue of their own have ended."""
    name = f"race-{uuid.uuid4().hex[:8]}"
    await create_queue(name, "process", limit=limit)
    async with connect() as client:
        entry = await client.read_deployment_by_name(f"launch-job/queue.{name}")
        made = [await create_run(client, entry, {"parameters": {"job": "none"}}) for _ in range(runs)]
    result = Race(limit, [run.id for run in made], guarded)
    await asyncio.gather(*(_claimer(result, name, work_s) for _ in range(CLAIMERS)))
    await delete_queue(name)
    return result


async def _claimer(race: Race, queue: str, work_s: float) -> None:
    door = Admission(queue)
    async with get_client() as client:
        while len(race.spans) < len(race.runs):
            polled = await client.get_scheduled_flow_runs_for_work_pool(queue, scheduled_before=datetime.now(UTC))
            for found in polled:
                if door.is_open and await _is_claimed(client, race, found.flow_run, door):
                    await _work(client, race, found.flow_run.id, work_s)
            await asyncio.sleep(0.1)


async def _is_claimed(client: PrefectClient, race: Race, run: FlowRun, door: Admission) -> bool:
    if not await door.claims(client, run, "Claimed"):
        return False
    state = (await client.read_flow_run(run.id)).state
    assert state is not None
    race.claims.setdefault(run.id, []).append(state.timestamp)
    why = await door.refusal(client, run, [Limit(race.limit)]) if race.guarded else ""
    if why:
        race.given_back += 1
        await door.give_back(client, run, why)
    return not why


async def _work(client: PrefectClient, race: Race, run: UUID, work_s: float) -> None:
    begin = time.monotonic()
    await client.set_flow_run_state(run, Running())
    await asyncio.sleep(work_s)
    race.spans[run] = begin, time.monotonic()
    await client.set_flow_run_state(run, Completed())


async def _print(rounds: int, runs: int) -> None:
    for limit in (1, 2):
        for guarded in (False, True):
            races = [await race(limit, runs, guarded=guarded) for _ in range(rounds)]
            print(
                f"limit {limit}, {'ours ' if guarded else 'stock'}: over the limit in "
                f"{sum(one.most_at_once > limit for one in races)} of {rounds} rounds "
                f"(most at once {max(one.most_at_once for one in races)}), "
                f"{sum(one.inversions for one in races)} inversions, "
                f"{sum(one.given_back for one in races)} claims given back of {runs * rounds} runs"
            )


if __name__ == "__main__":
    rounds, runs = (int(word) for word in (sys.argv[1:] + ["10", "30"][len(sys.argv) - 1 :]))
    asyncio.run(_print(rounds, runs))
