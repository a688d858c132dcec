"""Why a run is where it is, and since when: one decision over a few facts of the server (`launch why`)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from statistics import quantiles
from typing import TYPE_CHECKING

from prefect.client.schemas.objects import StateType
from pydantic import Field

from launch_jobs.batch import HELD
from launch_jobs.client import connect
from launch_jobs.job import Frozen
from launch_jobs.line import WHOLE, Line, read_line
from launch_jobs.run import RunInfo, RunState
from launch_jobs.runs import CLAIM, WAITING, describe, find_run

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.store.jobs import JobStore

_ENOUGH = 5
_SOON = timedelta(seconds=5)
"""A run submitted for now is scheduled within this of its creation; both moments are the server's clock's."""


class Cause(StrEnum):
    """What a run waits for, does, or came to."""

    QUEUE_GONE = "queue-gone"
    RETRY = "waiting-for-retry"
    LATER = "scheduled-for-later"
    HELD = "batch-incomplete"
    PAUSED = "queue-paused"
    NO_AGENT = "no-agent"
    LIMIT = "queue-limit"
    AGENT_LIMIT = "agent-limit"
    TOLD = "told-by-agent"
    POSITION = "position"
    CLAIMED = "claimed"
    RUNNING = "running"
    CANCELLING = "cancelling"
    OVER = "over"


_MOVING = frozenset({Cause.LIMIT, Cause.AGENT_LIMIT, Cause.POSITION})


class Why(Frozen):
    """The answer of `launch why`."""

    id: str
    name: str
    state: RunState
    queue: str | None
    cause: Cause
    what: str = Field(description="One sentence.")
    do: str = Field(default="", description="What to do about it; empty where waiting is all.")
    since: str | None = Field(description="ISO 8601: since when it waits for its turn, or is in its state.")
    position: int | None = Field(default=None, description="In the queue, from 1.")
    waiting: int | None = Field(default=None, description="Runs that wait in the queue, this one included.")
    starts_in_s: tuple[float, float] | None = Field(
        default=None, description="Seconds in which it may start, judged by how long earlier runs of its queue took."
    )
    exit_code: int | None = None


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
    starts = start_range(line) if line and cause in _MOVING else None
    return Why(
        id=run.id,
        name=run.name,
        state=run.state,
        queue=run.queue,
        cause=cause,
        what=f"{what}; it may start in {_span(starts)}" if starts else what,
        do=do,
        since=_text(_since(facts)),
        position=line.position if line and queued else None,
        waiting=line.waiting if line and queued else None,
        starts_in_s=starts,
        exit_code=run.exit_code,
    )


def _since(facts: Facts) -> datetime | None:
    """Since when a run waits for its turn, whatever was told of it meanwhile; else since when it is in its state."""
    waits = facts.run.state is RunState.SCHEDULED and facts.due is not None and facts.due <= facts.now
    return facts.due if waits else facts.since


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def start_range(line: Line) -> tuple[float, float] | None:
    """From when to when a run may start, in seconds: it waits for as many ends as its place in line says. Pure.

    None where fewer than five earlier runs tell how long one takes.
    """
    if len(line.took) < _ENOUGH:
        return None
    quarter, _, three_quarters = quantiles(line.took, n=4, method="inclusive")
    at_once = max(1, line.active)
    # Of the runs that are active now, nobody knows how much longer: nothing at best.
    return (line.position - 1) // at_once * quarter, math.ceil(line.position / at_once) * three_quarters


def _span(seconds: tuple[float, float]) -> str:
    low, high = (round(one / 60) if seconds[1] >= 120 else round(one) for one in seconds)
    unit = "min" if seconds[1] >= 120 else "s"
    return f"{low} to {high} {unit}" if low < high else f"about {max(high, 1)} {unit}"


def _judge(facts: Facts) -> tuple[Cause, str, str]:
    run = facts.run
    if run.state.is_final:
        ended = run.state.value.capitalize()
        return Cause.OVER, f"{ended}: {run.reason}" if run.reason and run.reason != ended else ended, ""
    if run.state is RunState.CANCELLING:
        return Cause.CANCELLING, "Being cancelled: its container or process is not gone yet" + _unserved(facts), ""
    if run.state is RunState.SCHEDULED:
        return _judge_waiting(facts)
    if run.state is RunState.PAUSED and run.state_name == HELD:
        return Cause.HELD, run.reason or HELD, "Repeat the submit of its batch with the same key, or cancel it"
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
    cause, held, do = _judge_line(queue, line, facts)
    return cause, f"Position {line.position} of {line.waiting} in {queue}: {held}", do


def _judge_line(queue: str, line: Line, facts: Facts) -> tuple[Cause, str, str]:
    """What holds up a run that may start."""
    if line.paused:
        do = f"launch queue resume {queue}" if line.paused == WHOLE else "Resume it in the Prefect UI"
        return Cause.PAUSED, f"{line.paused} is paused", do
    if not line.agents:
        seen = f"; {line.seen[0]} was last seen at {_clock(line.seen[1])}" if line.seen else ""
        return Cause.NO_AGENT, f"no agent is online{seen}", f"launch agent -q {queue}"
    if line.limit is not None and line.active >= line.limit:
        whose = f"the limit of {line.narrow}" if line.narrow else "the queue's limit"
        return Cause.LIMIT, f"{whose} is reached ({line.active} of {line.limit} runs)", ""
    if line.full is not None:
        agent, most = line.full
        return Cause.AGENT_LIMIT, f"agent {agent} is at its limit ({most} of {most} runs)", ""
    if (told := facts.run.reason or "").startswith(WAITING):
        return Cause.TOLD, told.removeprefix(f"{WAITING}: ").replace(WAITING, WAITING.lower(), 1), ""
    return Cause.POSITION, _behind(line) if line.position > 1 else "the next free agent takes it", ""


def _behind(line: Line) -> str:
    """What holds up a run that is not the first."""
    if not line.head:
        return "runs before it go first"
    before = line.position - 1
    return (
        f"{before} runs before it; the first waits {line.head}"
        if before > 1
        else f"the run before it waits {line.head}"
    )


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
            line=None if final or (brief and not waits) else await read_line(client, run, brief=brief),
        )
    )
