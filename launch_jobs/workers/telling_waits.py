"""Why runs wait that an agent has looked at: told in the messages of their states, where the Prefect UI shows them.

A run is claimed for that, and given back at once: the server takes a new state of a run from anybody at any time, and
another agent may have claimed it meanwhile.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from launch_jobs.runs import ONLY_TOLD, WAITING
from launch_jobs.workers.admission import COUNTED, due

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.workers.admission import Admission
    from launch_jobs.workers.worker import LaunchWorker

_PAUSE_S = 15.0
"""A run is told no more often; the text changes while others end."""

_MOST = 5
_WAITED = timedelta(seconds=5)
_STALE = timedelta(minutes=1)


class WaitTeller:
    """Tells waiting runs of one launch queue what this agent knows. Used from its main thread."""

    def __init__(self, worker: LaunchWorker, admission: Admission) -> None:
        self._worker = worker
        self._admission = admission
        self._told: dict[UUID, float] = {}

    async def tell(self, run: FlowRun, why: str) -> None:
        """Tell a run that waited when it was last seen what it waits for: `for 4 GPUs`."""
        message, moment = f"{WAITING}{why}", time.monotonic()
        self._told = {one: when for one, when in self._told.items() if moment < when + _PAUSE_S}
        if run.id in self._told or (run.state and run.state.message == message):
            return
        self._told[run.id] = moment
        ownership, client = self._worker.ownership, self._worker.client
        if not ownership.take(str(run.id)):
            return
        try:
            if await self._admission.claims(client, run, f"{self._worker.claim_message}{ONLY_TOLD}"):
                # By a name of our own: over one named Scheduled the server puts Late in seconds, without a message.
                state = Scheduled(name=WAITING, scheduled_time=due(run), message=message)
                await client.set_flow_run_state(run.id, state)
        finally:
            ownership.release(str(run.id))

    async def tell_first(self) -> None:
        """Tell those that are first in line that this agent, or the queue, has as many runs as it may have."""
        why = await self._full()
        if not why:
            return
        for run in await self._first():
            if not self._is_told_elsewhere(run):
                await self.tell(run, why)

    async def _full(self) -> str:
        worker = self._worker
        most = worker.work_pool.concurrency_limit
        if most is not None:
            active = await worker.client.count_flow_runs(
                flow_run_filter=_in_states(*COUNTED), work_pool_filter=self._pool
            )
            if active >= most:
                return f": the queue's limit is reached ({active} of {most} runs)"
        slots = worker.slots
        return "" if slots.free else f": agent {worker.name} is at its limit ({slots.used} of {slots.limit} runs)"

    async def _first(self) -> list[FlowRun]:
        waiting = _in_states(StateType.SCHEDULED)
        waiting.next_scheduled_start_time = FlowRunFilterNextScheduledStartTime.model_validate(
            {"before_": datetime.now(UTC) - _WAITED}
        )
        return await self._worker.client.read_flow_runs(
            flow_run_filter=waiting,
            work_pool_filter=self._pool,
            sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
            limit=_MOST,
        )

    def _is_told_elsewhere(self, run: FlowRun) -> bool:
        """Whether another agent has said lately what it knows: of two that are full, one tells."""
        message = (run.state.message if run.state else None) or ""
        is_other = message.startswith(WAITING) and self._worker.name not in message
        return is_other and run.state is not None and run.state.timestamp > datetime.now(UTC) - _STALE

    @property
    def _pool(self) -> WorkPoolFilter:
        return WorkPoolFilter(name=WorkPoolFilterName(any_=[self._worker.pool]))


def _in_states(*types: StateType) -> FlowRunFilter:
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))))
