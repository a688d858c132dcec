"""The agent's core: a Prefect worker that claims runs, hands them to its flow thread, adopts and cancels."""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

import anyio
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from typing_extensions import override

from launch_jobs import crashpoints, metrics
from launch_jobs.agent_file import AgentFile, agent_file_path, load_agent_file
from launch_jobs.client import FLOW_LABEL
from launch_jobs.configured import agent_settings
from launch_jobs.context import TargetKind
from launch_jobs.errors import LaunchError, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.project import use_project
from launch_jobs.runs import WAITING
from launch_jobs.settings import load_settings
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.template import base_job_template
from launch_jobs.workers import prefect_internals as internals
from launch_jobs.workers.admission import Admission, due, limits_of, read_all
from launch_jobs.workers.conductor import Conductor
from launch_jobs.workers.devices import Wanted, owned_devices, wanted_by
from launch_jobs.workers.flow_thread import FlowThread
from launch_jobs.workers.health import Health
from launch_jobs.workers.ownership import Ownership
from launch_jobs.workers.reconciling import Reconciler
from launch_jobs.workers.server_clock import ServerClock
from launch_jobs.workers.serving import catch_signals, serve
from launch_jobs.workers.slots import Slots
from launch_jobs.workers.telling_waits import WaitTeller
from launch_jobs.workers.tenure import Tenure, clock_s

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, WorkerMetadata
    from prefect.client.schemas.responses import WorkerFlowRunResponse

_BATCH_SECONDS = 1.0
"""For how long a poll's answer is acted on: what is more urgent, or on another queue, is not seen meanwhile."""

_BLIND_SECONDS = 5.0
_DEVICES_SECONDS = 2.0
_SEEN_SECONDS = 15.0
_LIMITS_SECONDS = 5.0
_CLAIMED = "Claimed by agent"
_LONGEST_PAUSE = 15.0


class LaunchWorker(BaseWorker[BaseJobConfiguration, BaseVariables, BaseWorkerResult], abc.ABC):
    """Base of our agents; a subclass names the target. `abc.ABC` among the bases keeps Prefect from registering it."""

    kind: ClassVar[TargetKind]
    _documentation_url = "https://github.com/launch-jobs/launch-jobs"

    def __init__(
        self,
        *args: Any,  # Prefect's own constructor arguments, handed on as they are
        agent_file: AgentFile | None = None,
        slots: Slots | None = None,
        thread: FlowThread | None = None,
        health: Health | None = None,
        **kwargs: Any,  # as above
    ) -> None:
        super().__init__(*args, **kwargs)
        self.settings = load_settings()
        self.thread = thread or FlowThread()
        self.health = health or Health()
        self.ownership = Ownership(self.settings.home)
        self.agent_file = agent_file or load_agent_file(agent_file_path(self.settings.home))
        self.slots = slots or Slots(internals.run_limit(self), owned_devices(self.agent_file.devices, self.agent_file))
        self.conductor = self._conductor()
        self._recovered = 0.0
        self.active: dict[UUID, asyncio.Event] = {}
        """The runs this agent works on, each with the event that cancels it."""
        self._reconciler = Reconciler(self, self.settings.adopt_grace_s)
        self.stopping = False
        self._blind_until = 0.0
        self._polled = -_SEEN_SECONDS
        self._admission = Admission(self.pool)
        self.teller = WaitTeller(self, self._admission)
        self._priority_limits: dict[str, int | None] = {}
        self._synced = 0.0
        self._clock = ServerClock()

    @override
    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        return base_job_template(CONFIGURATIONS[cls.kind])

    @override
    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> BaseWorkerResult:
        """Prefect's ad-hoc submission of user flows: refused, since only operator-owned flows run in an agent."""
        raise Refused("A launch agent runs no ad-hoc flows", do="Submit a job with `launch submit`")

    @override
    async def start(
        self,
        run_once: bool = False,
        with_healthcheck: bool = False,
        printer: Callable[..., None] = print,
    ) -> None:
        """Serve the launch queue until SIGTERM or SIGINT; containers and supervised processes then stay."""
        catch_signals([self])
        async with self:
            printer(f"Agent {self.name!r} serves the launch queue {self.pool!r}")
            await serve([self], until_empty=run_once)
        printer(f"Agent {self.name!r} stopped")

    @override
    async def setup(self) -> None:
        use_project(self.settings.home)
        internals.emit_fewer_task_events()
        self.settings = await agent_settings(self.settings)
        self.slots.restrict(self.settings.max_jobs)
        self.slots.restrict(self.agent_file.max_jobs)
        self.conductor = self._conductor()
        await super().setup()

    def _conductor(self) -> Conductor:
        return Conductor(self.kind, self.pool, self.settings, self.agent_file, devices=self.slots.devices)

    @property
    def pool(self) -> str:
        """The launch queue's name."""
        return internals.pool_name(self)

    async def claim(self, at_most: int | None = None) -> int:
        """Claim runs in the server's order while there are slots; how many were claimed.

        Raises:
            Unavailable: the target does not answer; then nothing is claimed, another agent may reach it.
        """
        if self.stopping or not self.slots.free or not internals.has_pool(self):
            return 0
        if not self._admission.is_open or not await self._is_due():
            self.slots.devices.leave_line(self.pool)
            return 0
        asked = time.monotonic()
        polled = await self._poll()
        self.slots.devices.leave_line(self.pool, [str(response.flow_run.id) for response in polled])
        claimed = 0
        for response in polled:
            if self.stopping or not self.slots.free or claimed == at_most or not self._admission.is_open:
                break
            if claimed and time.monotonic() > asked + _BATCH_SECONDS:
                break  # `_Turns` polls again at once
            is_kept = await self._claim_with_devices(response.flow_run)
            if is_kept is None:
                break
            claimed += is_kept
        return claimed

    async def _poll(self) -> list[WorkerFlowRunResponse]:
        polled = await self.client.get_scheduled_flow_runs_for_work_pool(
            self.pool, internals.work_queue_names(self), scheduled_before=self._clock.now()
        )
        if not polled:
            return []
        await asyncio.wrap_future(self.thread.submit(self.conductor.check_target()))
        await self._recover_devices()
        if self.slots.limit is None and self.work_pool.concurrency_limit is None:
            return await self._admission.in_line(self.client, polled)
        return polled  # each claim looks for itself

    async def _claim_with_devices(self, run: FlowRun) -> bool | None:
        """Claim a run and the devices that it wants; None: it waits for them, and nobody passes it."""
        devices, wanted = self.slots.devices, await self._wanted(run)
        if not devices.is_counted:
            return await self._claim(run)
        if not devices.fits(wanted):
            if not run.state or not (run.state.message or "").startswith(WAITING):
                await self.teller.tell(run, f" for {devices.lack(wanted, self.name)}")
            return False  # another agent may have more
        if not devices.claim(self.pool, str(run.id), wanted):
            await self.teller.tell(run, f" for {devices.lack(wanted, self.name)}")
            return None
        is_kept = await self._claim(run)
        if not is_kept:
            devices.give(str(run.id))
        return is_kept

    async def _recover_devices(self) -> None:
        if self.slots.devices.is_counted and time.monotonic() > self._recovered + _DEVICES_SECONDS:
            await asyncio.wrap_future(self.thread.submit(self.conductor.recover_devices()))
            self._recovered = time.monotonic()

    async def _wanted(self, run: FlowRun) -> Wanted:
        """What a run takes of the agent; what `submit` made says all of it, else its deployment the rest."""
        if not self.slots.devices.is_counted:
            return Wanted()
        layers = [cast("JsonObject", run.job_variables or {})]
        if FLOW_LABEL not in run.labels and run.deployment_id:
            with suppress(ObjectNotFound):
                deployment = await self.client.read_deployment(run.deployment_id)
                layers.insert(0, cast("JsonObject", deployment.job_variables or {}))
        return wanted_by(cast("JsonObject", self.work_pool.base_job_template), layers, CONFIGURATIONS[self.kind])

    async def _is_due(self) -> bool:
        """Whether a poll may find a run. To count costs the server a seventh of a poll, which writes down who polled.

        Those who look at the queue shall see that it is served, so it is polled now and then in any case.
        """
        if time.monotonic() < self._polled + _SEEN_SECONDS:
            due = FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate(
                    {"before_": self._clock.now()}
                ),
            )
            waiting = await self.client.count_flow_runs(flow_run_filter=due, work_pool_filter=self._own_pool)
            metrics.QUEUED.labels(self.pool).set(waiting)
            if not waiting:
                return False
        self._polled = time.monotonic()
        return True

    @property
    def _own_pool(self) -> WorkPoolFilter:
        return WorkPoolFilter(name=WorkPoolFilterName(any_=[self.pool]))

    async def claim_if_sighted(self, at_most: int | None = None) -> int:
        """As `claim`, but a target that does not answer pauses this queue only, for 5 s."""
        if time.monotonic() < self._blind_until:
            return 0
        try:
            claimed = await self.claim(at_most)
        except Unavailable as error:
            self._blind_until = time.monotonic() + _BLIND_SECONDS
            self.health.ill(self.pool, "target", str(error))
            self._logger.warning("%s; claiming nothing meanwhile", error)
            return 0
        self.health.well(self.pool, "target")
        return claimed

    async def _claim(self, run: FlowRun) -> bool:
        """Claim a run that the poll told of, and start it if it is to start: see `Admission`."""
        if not self.ownership.take(str(run.id)):
            return False
        is_kept, since = False, clock_s()
        try:
            # If an answer is lost after its call was done, the adoption sweep finds the run by its claim's message.
            crashpoints.reach("claim.before")
            is_claimed = await self._admission.claims(self.client, run, self.claim_message)
            crashpoints.reach("claim.after")
            is_kept = is_claimed and await self._is_admitted(run)
        finally:
            if not is_kept:
                self.ownership.release(str(run.id))
        if is_kept:
            moment = due(run)
            if moment is not None:
                metrics.CLAIM_SECONDS.labels(self.pool).observe(max(0, (self._clock.now() - moment).total_seconds()))
            self.work_on(run, adopted=False, since=since)
        return is_kept

    async def _is_admitted(self, run: FlowRun) -> bool:
        limits = limits_of(self.work_pool.concurrency_limit, self._priority_limits, run.work_queue_name)
        if not limits and self.slots.limit is None:
            return True
        refusal = await self._admission.refusal(self.client, run, limits)
        if refusal:
            self._logger.debug("Run %s goes back: %s", run.name, refusal)
            await self._admission.give_back(self.client, run, refusal)
            if time.monotonic() > self._synced + _LIMITS_SECONDS:
                await self.sync_with_backend()  # the limit may have been raised
        return not refusal

    @override
    async def _worker_metadata(self) -> WorkerMetadata:
        return internals.installed_integrations()

    @override
    async def sync_with_backend(self) -> None:
        await super().sync_with_backend()
        if internals.has_pool(self):
            self.thread.call(partial(self.conductor.learn, cast("JsonObject", self.work_pool.base_job_template)))
            queues = await self.client.read_work_queues(work_pool_name=self.pool)
            self._priority_limits = {queue.name: queue.concurrency_limit for queue in queues}
            self._admission.priorities = sorted(self._priority_limits)
            self._synced = time.monotonic()
            self._clock.hear((await self.client.hello()).headers.get("date"), self._synced)

    @property
    def claim_message(self) -> str:
        """What the state says with which this agent claims a run; `runs.CLAIM` reads it."""
        most = self.slots.limit
        slots = f", {min(self.slots.used + 1, most)} of {most} at once" if most is not None else ""
        return f"{_CLAIMED} {self.name} [{self.ownership.identity}]{slots}"

    def work_on(self, run: FlowRun, *, adopted: bool, since: float | None = None) -> None:
        """Have a run that we own, since our claim or now, conducted through its flow."""
        template = cast("JsonObject", self.work_pool.base_job_template)
        cancelled, tenure = asyncio.Event(), Tenure(self.ownership.identity, since)
        self.hand_over(run, cancelled, self.conductor.conduct(run, template, cancelled, adopted=adopted, tenure=tenure))

    def hand_over(self, run: FlowRun, cancelled: asyncio.Event, work: Coroutine[object, object, None]) -> None:
        """Have an owned run worked on in the flow thread."""
        self.slots.take()
        metrics.RUNNING.set(self.slots.used)
        self.active[run.id] = cancelled
        loop = asyncio.get_running_loop()
        self.thread.submit(work).add_done_callback(lambda _: loop.call_soon_threadsafe(self._finished, run.id))

    def _finished(self, run: UUID) -> None:
        del self.active[run]
        self.slots.give()
        self.slots.devices.give(str(run))
        metrics.RUNNING.set(self.slots.used)
        self.ownership.release(str(run))

    async def _runs_in(self, *types: StateType) -> list[FlowRun]:
        chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))))
        return await read_all(self.client, chosen, self._own_pool)

    async def adopt(self) -> None:
        """Take over runs of agents that are dead: look at what exists, and decide (`decision.py`)."""
        await self._reconciler.look_after(await self._runs_in(StateType.PENDING, StateType.RUNNING))

    async def watch_cancels(self) -> None:
        """Tell active runs that they are cancelled; end those whose agent is dead."""
        cancelling = await self._runs_in(StateType.CANCELLING)
        for run in cancelling:
            if run.id in self.active:
                self.thread.call(self.active[run.id].set)
        await self._reconciler.look_after(cancelling)

    async def repeat(self, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Do `work` again and again; while the server does not answer, ever more slowly up to 15 s."""
        pause, name = seconds, getattr(work, "__name__", "work").replace("_", " ")
        while True:
            try:
                await work()
                pause = seconds
                self.health.well(self.pool, name)
            except (httpx.HTTPError, PrefectException, LaunchError) as error:
                self.health.ill(self.pool, name, str(error) or type(error).__name__)
                pause = min(_LONGEST_PAUSE, max(1.0, pause * 2))
                self._reconciler.forget_absences()
                self._logger.warning("%s; trying again in %.0f s", error or type(error).__name__, pause)
            await asyncio.sleep(pause)
