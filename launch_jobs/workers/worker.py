"""The agent's core: a Prefect worker that claims runs, hands them to its flow thread, adopts and cancels."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

import anyio
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from typing_extensions import override

from launch_jobs import metrics
from launch_jobs.agent_file import AgentFile, agent_file_path, load_agent_file
from launch_jobs.batch import complete_batches
from launch_jobs.configured import agent_settings
from launch_jobs.context import TargetKind
from launch_jobs.errors import LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.project import use_project
from launch_jobs.settings import load_settings
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.template import base_job_template
from launch_jobs.workers import prefect_internals as internals
from launch_jobs.workers.admission import read_all
from launch_jobs.workers.claiming import Claiming
from launch_jobs.workers.conductor import Conductor
from launch_jobs.workers.devices import Devices, owned_devices
from launch_jobs.workers.flow_thread import FlowThread
from launch_jobs.workers.health import Health
from launch_jobs.workers.ownership import Ownership
from launch_jobs.workers.reconciling import Reconciler
from launch_jobs.workers.serving import catch_signals, serve
from launch_jobs.workers.slots import Slots
from launch_jobs.workers.tenure import SURE_S, Tenure

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, WorkerMetadata

    from launch_jobs.workers.lease import AgentLease

_CLAIMED = "Claimed by agent"
_LONGEST_PAUSE = 15.0


class LaunchWorker(BaseWorker[BaseJobConfiguration, BaseVariables, BaseWorkerResult], abc.ABC):
    """Base of our agents; a subclass names the target. `abc.ABC` among the bases keeps Prefect from registering it."""

    kind: ClassVar[TargetKind]
    lease: AgentLease | None = None
    """What shows other agents that this one lives, sooner than the server does."""

    sure_s = SURE_S
    """For how long nobody takes over what this agent has claimed."""

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
        self.devices = self._devices()
        self.conductor = self._conductor()
        self.active: dict[UUID, asyncio.Event] = {}
        """The runs this agent works on, each with the event that cancels it."""
        self._reconciler = Reconciler(self, self.settings.adopt_grace_s)
        self.stopping = False
        self.claiming = Claiming(self)

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
        internals.send_no_flow_heartbeats()
        self.settings = await agent_settings(self.settings)
        self.slots.restrict(self.settings.max_jobs)
        self.slots.restrict(self.agent_file.max_jobs)
        self.conductor = self._conductor()
        await super().setup()
        await internals.drop_given_up(self.client)

    def _conductor(self) -> Conductor:
        return Conductor(self.kind, self.pool, self.settings, self.agent_file, devices=self.devices)

    def _devices(self) -> Devices:
        """What of this host runs of this queue are given."""
        return self.slots.devices

    @property
    def pool(self) -> str:
        """The launch queue's name."""
        return internals.pool_name(self)

    @property
    def _own_pool(self) -> WorkPoolFilter:
        return WorkPoolFilter(name=WorkPoolFilterName(any_=[self.pool]))

    @override
    async def _worker_metadata(self) -> WorkerMetadata:
        return internals.installed_integrations()

    @override
    async def sync_with_backend(self) -> None:
        await super().sync_with_backend()
        if internals.has_pool(self):
            self.thread.call(partial(self.conductor.reach.learn, cast("JsonObject", self.work_pool.base_job_template)))
            await self.claiming.learn()

    @property
    def claim_message(self) -> str:
        """What the state says with which this agent claims a run; `runs.CLAIM` reads it."""
        most = self.slots.limit
        slots = f", {min(self.slots.used + 1, most)} of {most} at once" if most is not None else ""
        return f"{_CLAIMED} {self.name} [{self.ownership.identity}]{slots}"

    def work_on(self, run: FlowRun, *, adopted: bool, since: float | None = None) -> None:
        """Have a run that we own, since our claim or now, conducted through its flow."""
        template = cast("JsonObject", self.work_pool.base_job_template)
        cancelled, tenure = asyncio.Event(), Tenure(self.ownership.identity, since, self.sure_s)
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
        self.devices.give(str(run))
        metrics.RUNNING.set(self.slots.used)
        self.ownership.release(str(run))

    async def _runs_in(self, *types: StateType) -> list[FlowRun]:
        chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))))
        return await read_all(self.client, chosen, self._own_pool)

    async def adopt(self) -> None:
        """Take over what the dead left: runs, by what exists of them (`decision.py`), and batches half let go."""
        runs = await self._runs_in(StateType.PENDING, StateType.RUNNING, StateType.PAUSED)
        paused = [run for run in runs if run.state_type is StateType.PAUSED]
        await self._reconciler.look_after([run for run in runs if run.state_type is not StateType.PAUSED])
        await complete_batches(self.client, paused)

    async def adopt_the_gone(self) -> None:
        """As `adopt`, when an agent is gone by its Lease."""
        if self.lease is None:
            return
        await self.lease.died.wait()
        self.lease.died.clear()
        try:
            await self.adopt()
        except Exception:
            self.lease.died.set()
            raise

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
                self._logger.warning("%s; trying again in %.0f s", str(error) or type(error).__name__, pause)
            await asyncio.sleep(pause)
