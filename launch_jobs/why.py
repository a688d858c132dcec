"""Why a run is where it is, and since when: one decision over a few facts of the server (`launch why`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
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
from pydantic import Field

from launch_jobs.client import connect
from launch_jobs.job import Frozen
from launch_jobs.run import RunInfo, RunState
from launch_jobs.runs import CLAIM, describe, find_run

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.store.jobs import JobStore

WHOLE = "the queue"
_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_SOON = timedelta(seconds=5)
"""A run submitted for now is scheduled within this of its creation; both moments are the server's clock's."""


class Cause(StrEnum):
    """What a run waits for, does, or came to."""

    QUEUE_GONE = "queue-gone"
    RETRY = "waiting-for-retry"
    LATER = "scheduled-for-later"
    PAUSED = "queue-paused"
    NO_AGENT = "no-agent"
    LIMIT = "queue-limit"
    POSITION = "position"
    CLAIMED = "claimed"
    RUNNING = "running"
    CANCELLING = "cancelling"
    OVER = "over"


class Why(Frozen):
    """The answer of `launch why`."""

    id: str
    name: str
    state: RunState
    queue: str | None
    cause: Cause
    what: str = Field(description="One sentence.")
    do: str = Field(default="", description="What to do about it; empty where waiting is all.")
    since: str | None = Field(description="ISO 8601: since when the run is in its state.")
    position: int | None = Field(default=None, description="In the queue, from 1.")
    waiting: int | None = Field(default=None, description="Runs that wait in the queue, this one included.")
    exit_code: int | None = None


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
    """

    paused: str = ""
    limit: int | None = None
    active: int = 0
    agents: tuple[str, ...] = ()
    position: int = 1
    waiting: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision is made from.

    Attributes:
        run: the run.
        now: this moment.
        since: the moment of its state.
        created: when it was submitted.
        due: when it may start; None: at once.
        line: its queue; None if that is gone, or the run is over.
    """

    run: RunInfo
    now: datetime
    since: datetime | None = None
    created: datetime | None = None
    due: datetime | None = None
    line: Line | None = None


def decide(facts: Facts) -> Why:
    """Why the run is where it is. Pure."""
    run, line = facts.run, facts.line
    cause, what, do = _judge(facts)
    queued = line is not None and run.state is RunState.SCHEDULED
    return Why(
        id=run.id,
        name=run.name,
        state=run.state,
        queue=run.queue,
        cause=cause,
        what=what,
        do=do,
        since=facts.since.astimezone(UTC).isoformat() if facts.since else None,
        position=line.position if line and queued else None,
        waiting=line.waiting if line and queued else None,
        exit_code=run.exit_code,
    )


def _judge(facts: Facts) -> tuple[Cause, str, str]:
    run = facts.run
    if run.state.is_final:
        ended = run.state.value.capitalize()
        return Cause.OVER, f"{ended}: {run.reason}" if run.reason and run.reason != ended else ended, ""
    if run.state is RunState.CANCELLING:
        return Cause.CANCELLING, "Being cancelled: its container or process is not gone yet" + _unserved(facts), ""
    if run.state is RunState.SCHEDULED:
        return _judge_waiting(facts)
    if run.state is RunState.PENDING:
        return Cause.CLAIMED, claimed_text(run.reason) + _unserved(facts), ""
    return Cause.RUNNING, (run.reason or "Running") + _unserved(facts), ""


def claimed_text(message: str | None) -> str:
    """`Claimed by agent X`, from the message of its claim."""
    found = CLAIM.fullmatch(message or "")
    return f"Claimed by agent {found['agent']}" if found else message or "Claimed by an agent"


def _unserved(facts: Facts) -> str:
    """What to say of an active run whose queue no agent serves."""
    if facts.line is None or facts.line.agents:
        return ""
    return f"; no agent of {facts.run.queue} is online, so nobody follows it"


def _judge_waiting(facts: Facts) -> tuple[Cause, str, str]:
    queue, line = facts.run.queue, facts.line
    if queue is None or line is None:
        return Cause.QUEUE_GONE, "Queued, but its queue does not exist any more", "Cancel it and submit it again"
    if facts.due and facts.due > facts.now:
        if facts.run.state_name == "AwaitingRetry":
            why = f" ({facts.run.reason})" if facts.run.reason else ""
            return Cause.RETRY, f"Waiting for its next attempt at {_clock(facts.due)}{why}", ""
        if facts.due > (facts.created or facts.now) + _SOON:
            return Cause.LATER, f"Scheduled for {_clock(facts.due)}", ""
    cause, held, do = _judge_line(queue, line)
    return cause, f"Position {line.position} of {line.waiting} in {queue}: {held}", do


def _judge_line(queue: str, line: Line) -> tuple[Cause, str, str]:
    """What holds up a run that may start."""
    if line.paused:
        do = f"launch queue resume {queue}" if line.paused == WHOLE else "Resume it in the Prefect UI"
        return Cause.PAUSED, f"{line.paused} is paused", do
    if not line.agents:
        return Cause.NO_AGENT, "no agent is online", f"launch agent -q {queue}"
    if line.limit is not None and line.active >= line.limit:
        return Cause.LIMIT, f"the queue's limit is reached ({line.active} of {line.limit} runs)", ""
    held = "runs before it go first" if line.position > 1 else "the next free agent takes it"
    return Cause.POSITION, held, ""


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


async def explain(reference: str, store: JobStore) -> Why:
    """Why a run is where it is.

    Raises:
        NotFound: there is no such run.
    """
    async with connect() as client:
        return await explain_run(client, await find_run(client, reference), store)


async def explain_run(client: PrefectClient, run: FlowRun, store: JobStore, *, brief: bool = False) -> Why:
    """As `explain`, of a run that was just read; `brief` looks at the queue only while the run waits in it."""
    final = run.state is not None and run.state.is_final()
    outcome = await asyncio.to_thread(store.outcome, str(run.id)) if final else None
    waits = run.state_type is StateType.SCHEDULED
    return decide(
        Facts(
            run=describe(run, outcome),
            now=datetime.now(UTC),
            since=run.state.timestamp if run.state else None,
            created=run.created,
            due=run.next_scheduled_start_time,
            line=None if final or (brief and not waits) else await _line(client, run),
        )
    )


async def _line(client: PrefectClient, run: FlowRun) -> Line | None:
    """The queue around a run that is not over."""
    name = run.work_pool_name
    if name is None:
        return None
    workers, pool = await asyncio.gather(client.read_workers_for_work_pool(name), client.read_work_pool(name))
    agents = tuple(sorted(worker.name for worker in workers if worker.status is WorkerStatus.ONLINE))
    if run.state_type is not StateType.SCHEDULED:
        return Line(agents=agents)
    queues = await client.read_work_queues(work_pool_name=name)
    own = next((queue for queue in queues if queue.name == run.work_queue_name), None)
    ahead = [queue.name for queue in queues if own and (queue.priority or 0) < (own.priority or 0)]
    before, beside, waiting, active = await asyncio.gather(
        _count(client, name, among=ahead),
        _count(client, name, among=[own.name] if own else [], until=run.next_scheduled_start_time),
        _count(client, name),
        _count(client, name, types=_ACTIVE),
    )
    paused = WHOLE if pool.is_paused else f"its priority {own.name}" if own and own.is_paused else ""
    return Line(paused, pool.concurrency_limit, active, agents, max(1, before + beside), max(1, waiting))


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
