"""Whether a claimed run may start: hard limits and the server's order, with any number of agents (decision record 6).

The server's own poll counts before anyone claims, so agents that poll at the same time exceed a limit; and it skips
rows that another poll has locked, so one of them may see the second run in line and not the first. Hence: claim first,
look afterwards, and give the run back if it should not have been claimed.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    Operator,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkQueueFilter,
    WorkQueueFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging import get_logger
from prefect.states import Pending, Scheduled

from launch_jobs.queue import PRIORITIES
from launch_jobs.runs import ONLY_TOLD

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import State
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import WorkerFlowRunResponse

_logger = get_logger("launch_jobs.agent")

COUNTED = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
"""States in which a run holds its place under a limit: its container or process may live."""

_PATIENCE_S = 10.0
_LOOK_S, _LONGEST_LOOK_S = 0.05, 0.5
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 0.8
_PAGE = 200
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """Most runs at once, in a launch queue or in one of its priorities (None: in all of them)."""

    most: int
    priority: str | None = None

    def __str__(self) -> str:
        return f"the limit of {f'priority {self.priority}' if self.priority else 'the queue'} is {self.most}"


def limits_of(whole: int | None, priorities: dict[str, int | None], priority: str | None) -> list[Limit]:
    """The limits that hold for a run of this priority."""
    own = priorities.get(priority or "")
    limits = [] if whole is None else [Limit(whole)]
    return limits if own is None else [*limits, Limit(own, priority)]


def due(run: FlowRun) -> datetime | None:
    """When a run that waits or was just claimed was to start: its place in line, by the server's clock."""
    copied = run.state.state_details.scheduled_time if run.state else None
    return run.next_scheduled_start_time or copied or run.expected_start_time


def may_wait(run: FlowRun, active: list[FlowRun], most: int) -> bool:
    """Whether a claim over the limit may wait for others to give theirs back, which are behind it in line. Pure.

    Whoever was let in counts as before it: only claims (PENDING) are ever given back.
    """
    own = due(run) or datetime.now(UTC)
    others = [other for other in active if other.id != run.id]
    before = [one for one in others if one.state_type is not StateType.PENDING or (due(one) or own) < own]
    return len(before) < most


def is_overtaking(run: FlowRun, skipped: list[FlowRun]) -> bool:
    """Whether one of these waits in the same line, and before it. Pure."""
    own = due(run)
    before = [due(one) for one in skipped if one.work_queue_id == run.work_queue_id]
    return own is not None and any(moment is not None and moment < own for moment in before)


def goes_first(one: FlowRun, run: FlowRun) -> bool:
    """Whether a run that waits, or is claimed for a moment only to be told why, is before another. Pure."""
    if one.state_type is StateType.SCHEDULED:
        return True
    message = (one.state.message if one.state else None) or ""
    own, moment = due(run), due(one)
    return message.endswith(ONLY_TOLD) and own is not None and moment is not None and moment < own


class Admission:
    """The door of one launch queue. One for each agent and queue."""

    def __init__(self, pool: str) -> None:
        self._pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
        self._closed_until = 0.0
        self.priorities: list[str] = list(PRIORITIES)
        """Names of all work queues of the pool; its owner keeps them up to date."""

    @property
    def is_open(self) -> bool:
        """Whether to claim at all; after a run was given back, not for a random moment."""
        return time.monotonic() >= self._closed_until

    async def claims(self, client: PrefectClient, run: FlowRun, message: str) -> bool:
        """Claim a run that a poll told of; whether nobody else did.

        The server also lets a run be claimed that another agent has run to its end since the poll. It stays over.
        """
        result = await client.set_flow_run_state(run.id, Pending(message=message))
        if result.status is not SetStateStatus.ACCEPT or result.state is None:
            return False
        if was_waiting(result.state):
            return True
        before = state_before(await client.read_flow_run_states(run.id), result.state.id)
        if before is None or not before.is_final():
            return True
        _logger.warning("Run %s was over when it was claimed; it stays so", run.name)
        await client.set_flow_run_state(run.id, before, force=True)
        return False

    async def in_line(self, client: PrefectClient, polled: list[WorkerFlowRunResponse]) -> list[WorkerFlowRunResponse]:
        """What was polled, up to the first run before which another one waits: the poll skips rows that are locked.

        For agents that look after no claim, since nothing limits how many they take.
        """
        runs = [response.flow_run for response in polled]
        waiting = FlowRunFilter(
            id=FlowRunFilterId(not_any_=[run.id for run in runs]),
            state=_in_states(StateType.SCHEDULED),
            next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate(
                {"before_": max(filter(None, map(due, runs))) - _TICK}
            ),
        )
        skipped = await client.read_flow_runs(
            flow_run_filter=waiting,
            work_pool_filter=self._pool,
            work_queue_filter=_of(*{run.work_queue_name for run in runs}),
            limit=_PAGE,
        )
        return [response for response in polled if not is_overtaking(response.flow_run, skipped)]

    async def refusal(self, client: PrefectClient, run: FlowRun, limits: list[Limit]) -> str:
        """Why a claimed run must go back; empty if it may start.

        Those before it in line and those that are active are told by one query: in two, one could slip from the ones to
        the others unseen.
        """
        deadline = time.monotonic() + _PATIENCE_S
        look_s = _LOOK_S
        while True:
            own = await self._of_its_priority(client, run)
            if any(goes_first(one, run) for one in own):
                return "a run before it goes first"
            over = ""
            for limit in limits:
                most = limit.most - (0 if limit.priority else await self._others(client, run))
                if len(own) > most:
                    over = str(limit)
                    if time.monotonic() > deadline or not may_wait(run, own, most):
                        return over
            if not over:
                return ""
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _LONGEST_LOOK_S)

    async def give_back(self, client: PrefectClient, run: FlowRun, why: str) -> None:
        """Put a claimed run back where it was in line, and claim nothing for a random moment."""
        self._closed_until = time.monotonic() + random.uniform(_LEAST_PAUSE_S, _LONGEST_PAUSE_S)  # noqa: S311 - no secret
        await client.set_flow_run_state(run.id, waiting_again(run, f"Waiting: {why}"))

    async def _of_its_priority(self, client: PrefectClient, run: FlowRun) -> list[FlowRun]:
        """The active runs of its priority, itself among them, and those that wait and were due before it."""
        moment = due(run) or datetime.now(UTC)
        either = FlowRunFilter(
            state=_in_states(*COUNTED),
            next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate({"before_": moment - _TICK}),
        )
        either.operator = Operator.or_
        return await read_all(client, either, self._pool, _of(run.work_queue_name))

    async def _others(self, client: PrefectClient, run: FlowRun) -> int:
        """How many runs of other priorities are active."""
        own = run.work_queue_name
        if own is None:
            return 0
        return await client.count_flow_runs(
            flow_run_filter=FlowRunFilter(state=_in_states(*COUNTED)),
            work_pool_filter=self._pool,
            work_queue_filter=_of(*(name for name in self.priorities if name != own)),
        )


def was_waiting(claim: State[Any]) -> bool:  # Prefect's untyped states
    """Whether a claimed run was waiting: only then the server has copied its scheduled time into the claim. Pure."""
    return claim.state_details.scheduled_time is not None


async def read_all(
    client: PrefectClient, chosen: FlowRunFilter, pool: WorkPoolFilter, priority: WorkQueueFilter | None = None
) -> list[FlowRun]:
    """All runs that are chosen, however many. While others end or come, never too few: those that ended are there."""
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=chosen,
            work_pool_filter=pool,
            work_queue_filter=priority,
            sort=FlowRunSort.ID_DESC,
            limit=_PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < _PAGE:
            return found


def state_before(states: list[State[Any]], after: UUID) -> State[Any] | None:  # Prefect's untyped states
    """The state of a run's history that came right before another. Pure."""
    history = sorted(states, key=lambda state: state.timestamp)
    places = [place for place, state in enumerate(history) if state.id == after]
    return history[places[0] - 1] if places and places[0] else None


def waiting_again(run: FlowRun, message: str) -> State[Any]:  # Prefect's own argument of an untyped state
    """The state that puts a claimed run back to its old place in line."""
    return Scheduled(scheduled_time=due(run), message=message)


def _in_states(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _of(*priorities: str | None) -> WorkQueueFilter | None:
    names = [name for name in priorities if name]
    return WorkQueueFilter(name=WorkQueueFilterName(any_=names)) if names else None
