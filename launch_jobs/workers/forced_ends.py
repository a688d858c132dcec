"""Runs whose end somebody forced (in the Prefect UI, by its API) while their container or process lives: ended, too."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType

from launch_jobs.workers.admission import read_all

if TYPE_CHECKING:
    from launch_jobs.workers.worker import LaunchWorker

_OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]


class ForcedEnds:
    """Sweeps one launch queue. Used from the agent's main thread.

    A flow removes what its run had before it tells the end; so what lives of a run that is over was forced.
    """

    def __init__(self, worker: LaunchWorker) -> None:
        self._worker = worker

    async def sweep_forced(self) -> None:
        """End what lives of runs that are over: our own by their flows, others if no agent of this home has them."""
        worker = self._worker
        living = await asyncio.wrap_future(worker.thread.submit(worker.conductor.reach.living()))
        known = {*worker.active, *_ids(living)}
        if not known:
            return
        over = FlowRunFilter(
            id=FlowRunFilterId(any_=list(known)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OVER)),
        )
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[worker.pool]))
        for run in await read_all(worker.client, over, pool):
            if run.id in worker.active:
                worker.thread.call(worker.active[run.id].set)
            elif str(run.id) in living and worker.ownership.take(str(run.id)):
                worker.hand_over(run, asyncio.Event(), worker.conductor.end_cancelled(run))


def _ids(runs: set[str]) -> set[UUID]:
    """Those that can be a server's."""
    found: set[UUID] = set()
    for run in runs:
        with suppress(ValueError):
            found.add(UUID(run))
    return found
