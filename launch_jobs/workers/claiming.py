"""How an agent claims the runs of a launch queue: in line, within limits, while it sees its target and has devices."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from launch_jobs import crashpoints, metrics
from launch_jobs.client import FLOW_LABEL
from launch_jobs.errors import Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.runs import WAITING
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.workers import prefect_internals as internals
from launch_jobs.workers.admission import Admission, due, limits_of
from launch_jobs.workers.devices import Wanted, wanted_by
from launch_jobs.workers.server_clock import ServerClock
from launch_jobs.workers.telling_waits import WaitTeller
from launch_jobs.workers.tenure import clock_s

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import WorkerFlowRunResponse

    from launch_jobs.workers.worker import LaunchWorker

_BATCH_SECONDS = 1.0
"""For how long a poll's answer is acted on: what is more urgent, or on another queue, is not seen meanwhile."""

_BLIND_SECONDS = 5.0
_DEVICES_SECONDS = 2.0
_SEEN_SECONDS = 15.0
_LIMITS_SECONDS = 5.0
_logger = get_logger("launch_jobs.agent")


class Claiming:
    """Claims runs of one launch queue. Used from the agent's main thread."""

    def __init__(self, worker: LaunchWorker) -> None:
        self._worker = worker
        self._admission = Admission(worker.pool)
        self.teller = WaitTeller(worker, self._admission)
        self._priority_limits: dict[str, int | None] = {}
        self._clock = ServerClock()
        self._learned = 0.0
        self._blind_until = 0.0
        self._polled = -_SEEN_SECONDS
        self._recovered = 0.0

    async def learn(self) -> None:
        """Hear from the server what limits its priorities have, and its time."""
        client = self._worker.client
        queues = await client.read_work_queues(work_pool_name=self._worker.pool)
        self._priority_limits = {queue.name: queue.concurrency_limit for queue in queues}
        self._admission.priorities = sorted(self._priority_limits)
        self._learned = time.monotonic()
        self._clock.hear((await client.hello()).headers.get("date"), self._learned)

    async def claim_if_sighted(self, at_most: int | None = None) -> int:
        """As `claim`, but a target that does not answer pauses this queue only, for 5 s."""
        if time.monotonic() < self._blind_until:
            return 0
        health, pool = self._worker.health, self._worker.pool
        try:
            claimed = await self.claim(at_most)
        except Unavailable as error:
            self._blind_until = time.monotonic() + _BLIND_SECONDS
            health.ill(pool, "target", str(error))
            _logger.warning("%s; claiming nothing meanwhile", error)
            return 0
        health.well(pool, "target")
        return claimed

    async def claim(self, at_most: int | None = None) -> int:
        """Claim runs in the server's order while there are slots; how many were claimed.

        Raises:
            Unavailable: the target does not answer; then nothing is claimed, another agent may reach it.
        """
        worker = self._worker
        if worker.stopping or not worker.slots.free or not internals.has_pool(worker):
            return 0
        if not self._admission.is_open or not await self._is_due():
            worker.devices.leave_line(worker.pool)
            return 0
        asked = time.monotonic()
        polled = await self._poll()
        worker.devices.leave_line(worker.pool, [str(response.flow_run.id) for response in polled])
        claimed = 0
        for response in polled:
            if worker.stopping or not worker.slots.free or claimed == at_most or not self._admission.is_open:
                break
            if claimed and time.monotonic() > asked + _BATCH_SECONDS:
                break  # `_Turns` polls again at once
            is_kept = await self._claim_with_devices(response.flow_run)
            if is_kept is None:
                break
            claimed += is_kept
        return claimed

    async def _is_due(self) -> bool:
        """Whether a poll may find a run. To count costs the server a seventh of a poll, which writes down who polled.

        Those who look at the queue shall see that it is served, so it is polled now and then in any case.
        """
        if time.monotonic() < self._polled + _SEEN_SECONDS:
            chosen = FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate(
                    {"before_": self._clock.now()}
                ),
            )
            own_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._worker.pool]))
            waiting = await self._worker.client.count_flow_runs(flow_run_filter=chosen, work_pool_filter=own_pool)
            metrics.QUEUED.labels(self._worker.pool).set(waiting)
            if not waiting:
                return False
        self._polled = time.monotonic()
        return True

    async def _poll(self) -> list[WorkerFlowRunResponse]:
        worker = self._worker
        polled = await worker.client.get_scheduled_flow_runs_for_work_pool(
            worker.pool, internals.work_queue_names(worker), scheduled_before=self._clock.now()
        )
        if not polled:
            return []
        await asyncio.wrap_future(worker.thread.submit(worker.conductor.reach.check()))
        if worker.lease is not None:
            worker.lease.check()
        await self._recover_devices()
        if worker.slots.limit is None and worker.work_pool.concurrency_limit is None:
            return await self._admission.in_line(worker.client, polled)
        return polled  # each claim looks for itself

    async def _recover_devices(self) -> None:
        worker = self._worker
        if worker.devices.is_counted and time.monotonic() > self._recovered + _DEVICES_SECONDS:
            await asyncio.wrap_future(worker.thread.submit(worker.conductor.reach.recover_devices()))
            self._recovered = time.monotonic()

    async def _claim_with_devices(self, run: FlowRun) -> bool | None:
        """Claim a run and the devices that it wants; None: it waits for them, and nobody passes it."""
        worker = self._worker
        devices, wanted = worker.devices, await self._wanted(run)
        if not devices.is_counted:
            return await self._claim(run)
        if not devices.fits(wanted):
            if not run.state or not (run.state.message or "").startswith(WAITING):
                await self.teller.tell(run, f" for {devices.lack(wanted, worker.name)}")
            return False  # another agent may have more
        if not devices.claim(worker.pool, str(run.id), wanted):
            await self.teller.tell(run, f" for {devices.lack(wanted, worker.name)}")
            return None
        is_kept = await self._claim(run)
        if not is_kept:
            devices.give(str(run.id))
        return is_kept

    async def _wanted(self, run: FlowRun) -> Wanted:
        """What a run takes of the agent; what `submit` made says all of it, else its deployment the rest."""
        worker = self._worker
        if not worker.devices.is_counted:
            return Wanted()
        layers = [cast("JsonObject", run.job_variables or {})]
        if FLOW_LABEL not in run.labels and run.deployment_id:
            with suppress(ObjectNotFound):
                deployment = await worker.client.read_deployment(run.deployment_id)
                layers.insert(0, cast("JsonObject", deployment.job_variables or {}))
        return wanted_by(cast("JsonObject", worker.work_pool.base_job_template), layers, CONFIGURATIONS[worker.kind])

    async def _claim(self, run: FlowRun) -> bool:
        """Claim a run that the poll told of, and start it if it is to start: see `Admission`."""
        worker = self._worker
        if not worker.ownership.take(str(run.id)):
            return False
        is_kept, since = False, clock_s()
        try:
            # If an answer is lost after its call was done, the adoption sweep finds the run by its claim's message.
            crashpoints.reach("claim.before")
            is_claimed = await self._admission.claims(worker.client, run, worker.claim_message)
            crashpoints.reach("claim.after")
            is_kept = is_claimed and await self._is_admitted(run)
        finally:
            if not is_kept:
                worker.ownership.release(str(run.id))
        if is_kept:
            moment = due(run)
            if moment is not None:
                metrics.CLAIM_SECONDS.labels(worker.pool).observe(max(0, (self._clock.now() - moment).total_seconds()))
            worker.work_on(run, adopted=False, since=since)
        return is_kept

    async def _is_admitted(self, run: FlowRun) -> bool:
        worker = self._worker
        limits = limits_of(worker.work_pool.concurrency_limit, self._priority_limits, run.work_queue_name)
        if not limits and worker.slots.limit is None:
            return True
        refusal = await self._admission.refusal(worker.client, run, limits)
        if refusal:
            _logger.debug("Run %s goes back: %s", run.name, refusal)
            await self._admission.give_back(worker.client, run, refusal)
            if time.monotonic() > self._learned + _LIMITS_SECONDS:
                await worker.sync_with_backend()  # the limit may have been raised
        return not refusal
