"""The line that a run waits in, as the server tells it: its queue, who is before it, who serves it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.sorting import FlowRunSort

from launch_jobs.runs import CLAIM, WAITING

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker

WHOLE = "the queue"
_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_LATEST = 20


@dataclass(frozen=True, slots=True)
class Line:
    """The queue a run waits in, as the server tells it.

    Attributes:
        paused: what of it is paused (`the queue`, `its priority low`); empty: nothing.
        limit: most runs at once.
        active: runs at once now.
        agents: names of those online.
        position: of the run among those that wait, from 1.
        waiting: how many wait.
        narrow: what has the limit that counts, if it is not the queue (`priority low`).
        full: an agent that took as many runs as it may, with that number; None: nobody knows.
        seen: the agent that was seen last, and when; of a queue without agents.
        took: seconds that earlier runs took.
        head: what the run that is first in line was told to wait for (`for 4 GPUs`); empty: nothing.
    """

    paused: str = ""
    limit: int | None = None
    active: int = 0
    agents: tuple[str, ...] = ()
    position: int = 1
    waiting: int = 1
    narrow: str = ""
    full: tuple[str, int] | None = None
    seen: tuple[str, datetime] | None = None
    took: tuple[float, ...] = ()
    head: str = ""


async def read_line(client: PrefectClient, run: FlowRun, *, brief: bool) -> Line | None:
    """The queue around a run that is not over."""
    name = run.work_pool_name
    if name is None:
        return None
    workers, pool = await asyncio.gather(client.read_workers_for_work_pool(name), client.read_work_pool(name))
    agents = tuple(sorted(worker.name for worker in workers if worker.status is WorkerStatus.ONLINE))
    if run.state_type is not StateType.SCHEDULED:
        return Line(agents=agents)
    line = Line(agents=agents, limit=pool.concurrency_limit, seen=_last_seen(workers))
    line = await _placed(client, run, name, replace(line, paused=WHOLE if pool.is_paused else ""))
    if brief or line.paused or not agents:
        return line
    took, full = await asyncio.gather(_took(client, name), _full_agent(client, name, agents))
    return replace(line, took=took, full=full)


async def _placed(client: PrefectClient, run: FlowRun, name: str, line: Line) -> Line:
    """The line with the run's place in it, and the limit that counts for it."""
    queues = await client.read_work_queues(work_pool_name=name)
    own = next((queue for queue in queues if queue.name == run.work_queue_name), None)
    ahead = [queue.name for queue in queues if own and (queue.priority or 0) < (own.priority or 0)]
    before, beside, waiting, active = await asyncio.gather(
        _count(client, name, among=ahead),
        _count(client, name, among=[own.name] if own else [], until=run.next_scheduled_start_time),
        _count(client, name),
        _count(client, name, types=_ACTIVE),
    )
    line = replace(line, active=active, position=max(1, before + beside), waiting=max(1, waiting))
    if own and line.position > 1:
        ranked = sorted(queues, key=lambda queue: queue.priority or 0)
        line = replace(line, head=await _head(client, name, [queue.name for queue in ranked] if before else [own.name]))
    if own and own.is_paused and not line.paused:
        line = replace(line, paused=f"its priority {own.name}")
    if own is None or own.concurrency_limit is None or (line.limit is not None and active >= line.limit):
        return line
    narrow = await _count(client, name, types=_ACTIVE, among=[own.name])
    if narrow < own.concurrency_limit:
        return line
    return replace(line, limit=own.concurrency_limit, active=narrow, narrow=f"priority {own.name}")


async def _head(client: PrefectClient, pool: str, priorities: list[str]) -> str:
    """What the run that is first in line was told to wait for; empty if nothing was told."""
    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    for name in priorities:
        first = await client.read_flow_runs(
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
            work_queue_filter=WorkQueueFilter(name=WorkQueueFilterName(any_=[name])),
            flow_run_filter=waiting,
            sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
            limit=1,
        )
        if first:
            told = (first[0].state.message if first[0].state else None) or ""
            return told.removeprefix(f"{WAITING} ") if told.startswith(f"{WAITING} for ") else ""
    return ""


def _last_seen(workers: list[Worker]) -> tuple[str, datetime] | None:
    seen = [(worker.last_heartbeat_time, worker.name) for worker in workers if worker.last_heartbeat_time]
    when, name = max(seen, default=(None, ""))
    return (name, when) if when else None


async def _took(client: PrefectClient, pool: str) -> tuple[float, ...]:
    """How long the latest runs of a queue took."""
    ended = (StateType.COMPLETED, StateType.FAILED)
    latest = await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ended)))),
        sort=FlowRunSort.END_TIME_DESC,
        limit=_LATEST,
    )
    return tuple(run.total_run_time.total_seconds() for run in latest if run.start_time)


async def _full_agent(client: PrefectClient, pool: str, agents: tuple[str, ...]) -> tuple[str, int] | None:
    """The agent that made the newest claim, if it took its last place with it, and is the only one there."""
    active = await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ACTIVE)))),
        sort=FlowRunSort.START_TIME_DESC,
        limit=_LATEST,
    )
    if len(agents) != 1 or not active:
        return None
    claims = await asyncio.gather(*(_claim(client, run) for run in active))
    newest = max((claim for claim in claims if claim), default=None)
    if newest is None or newest[1] != agents[0] or newest[2] < newest[3]:
        return None
    return newest[1], newest[3]


async def _claim(client: PrefectClient, run: FlowRun) -> tuple[datetime, str, int, int] | None:
    """When and by whom an active run was claimed, as which of how many at once."""
    for state in reversed(await client.read_flow_run_states(run.id)):
        found = CLAIM.fullmatch(state.message or "")
        if found and found["limit"]:
            return state.timestamp, found["agent"], int(found["used"]), int(found["limit"])
    return None


async def _count(
    client: PrefectClient,
    pool: str,
    *,
    types: tuple[StateType, ...] = (StateType.SCHEDULED,),
    among: list[str] | None = None,
    until: datetime | None = None,
) -> int:
    """How many runs of a queue are in these states, of these priorities (None: of all), due until then."""
    if among == []:
        return 0
    due = FlowRunFilterNextScheduledStartTime(before_=until) if until else None  # pyright: ignore[reportArgumentType] - Prefect's DateTime is a datetime at run time
    return await client.count_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        work_queue_filter=WorkQueueFilter(name=WorkQueueFilterName(any_=among)) if among else None,
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))), next_scheduled_start_time=due
        ),
    )
