"""The flow-thread side of an agent: conducts one claimed run through its launch flow to its recorded end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem
from prefect.flow_engine import run_flow
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.logging import get_logger
from prefect.states import Cancelled, Crashed, Failed

from launch_jobs.agent_file import AgentFile
from launch_jobs.client import FLOW_LABEL, translated_errors
from launch_jobs.conclusion import lost_outcome
from launch_jobs.configured import configured_store
from launch_jobs.context import LaunchContext, TargetKind, enter_context
from launch_jobs.deployments import FLOW_ENTRYPOINT
from launch_jobs.endings import outcome_state
from launch_jobs.errors import LaunchError, NotFound, Refused, Unavailable
from launch_jobs.execution import end_cancelled
from launch_jobs.job import JsonObject
from launch_jobs.patience import reach, stored
from launch_jobs.run import Place, RunState
from launch_jobs.spool import log_path
from launch_jobs.workers.decision import Found
from launch_jobs.workers.devices import Devices, Wanted
from launch_jobs.workers.prefect_internals import FlowClient
from launch_jobs.workers.reach import Reach

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.context import Labels
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.workers.tenure import Tenure

DEATHS_LABEL = "launch.deaths"
"""How many agents died of a run, maybe, before anything of it was started."""

_OWN_FLOWS = "flows."
_DEVICES_S = 1.0
_logger = get_logger("launch_jobs.agent")


class Conductor:
    """Runs the launch flows of one queue. Used from the flow thread only."""

    def __init__(
        self,
        kind: TargetKind,
        queue: str,
        settings: LaunchSettings,
        agent: AgentFile | None = None,
        *,
        devices: Devices | None = None,
    ) -> None:
        self._kind: TargetKind = kind
        self._queue = queue
        self._settings = settings
        self._agent = agent or AgentFile()
        self._devices = devices or Devices(None)
        self.reach = Reach(kind, settings, self._agent, self._devices)
        self._flows: dict[str, Flow[..., Any]] = {}  # operator-owned flows of any signature
        self._tenures: dict[UUID, Tenure] = {}

    async def _assign(self, run: str, number: int) -> tuple[str, ...]:
        """The devices that a run was claimed with; an adopted one that was not started waits for its own."""
        if self._devices.names is None:
            return ()
        if not self._devices.fits(Wanted(number)):
            raise Refused(f"This agent owns {len(self._devices.names)} GPUs, and {number} are wanted")
        while (devices := self._devices.take(run, number)) is None:
            await asyncio.sleep(_DEVICES_S)
            with suppress(Unavailable):
                await self.reach.recover_devices()
        return devices

    async def conduct(
        self, run: FlowRun, template: JsonObject, cancelled: asyncio.Event, *, adopted: bool, tenure: Tenure
    ) -> None:
        """Run a claimed run's flow to its end. Whatever happens, the run's state tells it; nothing is raised."""
        is_again = adopted

        async def once() -> None:
            nonlocal is_again
            with_dead, is_again = is_again, True  # of a server that does not answer nobody knows what it has done
            async with get_client() as client, translated_errors():
                if with_dead:
                    await self._close_task_runs(client, run.id)
                if isinstance(client, FlowClient):
                    client.tenures[run.id] = tenure
                await self._run_flow(client, run, template, cancelled, adopted=with_dead)

        self._tenures[run.id] = tenure
        tenure.begin()
        try:
            await reach(once)
        except LaunchError as error:
            await self._end(run, _failed(error))
        except Exception as error:
            _logger.exception("Run %s could not be conducted", run.name)
            await self._end(run, Crashed(message=f"The agent could not run it: {type(error).__name__}: {error}"))
        finally:
            self._tenures.pop(run.id, None)

    async def _run_flow(
        self, client: PrefectClient, run: FlowRun, template: JsonObject, cancelled: asyncio.Event, *, adopted: bool
    ) -> None:
        entrypoint, defaults = await self._deployed(client, run, adopted=adopted)
        target, access = await self.reach.target()
        store = await stored(configured_store, self._settings)
        enter_context(
            LaunchContext(
                run=str(run.id),
                kind=self._kind,
                queue=self._queue,
                template=template,
                settings=self._settings,
                store=store,
                target=target,
                docker=access,
                cluster=self.reach.cluster,
                agent=self._agent,
                assign=partial(self._assign, str(run.id)),
                variables=(
                    defaults,
                    cast("JsonObject", run.job_variables or {}),
                ),
                attempt=await self._attempt(client, run, adopted=adopted),
                is_resumed=adopted and "launch.place" in run.labels,
                record=lambda labels: reach(lambda: self._record(client, run, labels)),
                cancelled=cancelled,
            )
        )
        flow = await self._load(entrypoint)
        # Without its deployment id the engine starts no suspension observer (DESIGN 8.21), the largest cost of a run.
        engaged = run.model_copy(update={"deployment_id": None})
        with known_to(client, engaged, deployment=run.deployment_id):
            running = run_flow(flow, flow_run=engaged, return_type="state")
            # A synchronous flow has run to its end by now; it belongs to a thread, see `_load`.
            await cast("Coroutine[object, object, object]", running)

    async def _record(self, client: PrefectClient, run: FlowRun, labels: Labels) -> None:
        """Write labels on a run that is still ours. With a place it has got further than any agent's death counts for.

        Raises:
            Unavailable: the server does not answer.
            Refused: another agent has the run.
        """
        begun = {DEATHS_LABEL: 0} if run.labels.get(DEATHS_LABEL) else {}
        async with translated_errors():
            await self._check_tenure(client, run)
            if begun or not labels.items() <= run.labels.items():  # an adopted one has them
                await client.update_flow_run_labels(run.id, {**labels, **begun})
                await self._check_tenure(client, run)  # that call may have been long on its way

    async def give_up_lost(self) -> None:
        """Work no more on runs that other agents took over while this one was away.

        Raises:
            Unavailable: the server does not answer.
        """
        async with get_client() as client, translated_errors():
            for run, tenure in list(self._tenures.items()):
                if await tenure.give_up_if_taken(client, run):
                    _logger.warning("Run %s is left to another agent, which took it over", run)

    async def _check_tenure(self, client: PrefectClient, run: FlowRun) -> None:
        """Nothing is started of a run that is not ours any more.

        Raises:
            Refused: another agent has it; nothing that is told of it from now on reaches the server.
        """
        if not await self._tenures[run.id].holds(client, run.id):
            raise Refused(f"Run {run.name} was taken over by another agent while this one was away")

    async def _deployed(self, client: PrefectClient, run: FlowRun, *, adopted: bool) -> tuple[str, JsonObject]:
        """Entrypoint and default job variables of the run's deployment; a run that `submit` made carries them.

        A deployment that was deleted meanwhile ends a run that has not started; one whose attempt is there goes on.
        """
        if FLOW_LABEL in run.labels:
            return str(run.labels[FLOW_LABEL]), {}
        try:
            deployment = await client.read_deployment(cast("UUID", run.deployment_id))
        except ObjectNotFound as error:
            if adopted:
                return FLOW_ENTRYPOINT, {}
            raise NotFound("The run's deployment is gone", do="Submit the job again") from error
        return deployment.entrypoint or "", cast("JsonObject", deployment.job_variables or {})

    async def _attempt(self, client: PrefectClient, run: FlowRun, *, adopted: bool) -> int:
        """The attempt to make or adopt: a run that was scheduled again after a recorded end makes the next one.

        An adopted run whose last attempt has ended waits either for that end to be told, or, scheduled again since, for
        its next attempt: see `told_ends`.
        """
        last = int(str(run.labels.get("launch.attempt", 0)))
        store = await stored(configured_store, self._settings)
        if last == 0 or await stored(store.outcome, str(run.id), last) is None:
            return max(last, 1)
        if not adopted:
            return last + 1
        return last + 1 if told_ends(await client.read_flow_run_states(run.id)) >= last else last

    async def _load(self, entrypoint: str) -> Flow[..., Any]:
        """An operator-owned flow of the agent's own project; code fetched for a run is never loaded here."""
        if not entrypoint.startswith(_OWN_FLOWS):
            raise Refused(f"An agent runs only its own project's flows, not {entrypoint!r}", do="Use a Prefect worker")
        if entrypoint not in self._flows:
            flow = await asyncio.to_thread(load_flow_from_entrypoint, entrypoint, use_placeholder_flow=False)
            # Our flows persist no result; else the engine would ask the server, for every run, where to.
            flow.result_storage = flow.result_storage or LocalFileSystem(basepath=str(self._settings.home / "results"))
            self._flows[entrypoint] = flow
        return self._flows[entrypoint]

    async def find(self, run: FlowRun, claimed_here: bool) -> tuple[Found, bool]:
        """What is at the place of a run's last attempt, and whether that attempt's outcome is in the store.

        An agent of this home opens an attempt's log when the attempt is there. So of one that it claimed, and that is
        neither there nor has a log, it died before it made anything: its place was only written down.

        Raises:
            StoreError, Unavailable: the store does not answer.
        """
        where = run.labels.get("launch.place")
        if where is None:
            return Found.UNPLACED, False
        store = await asyncio.to_thread(configured_store, self._settings)
        attempt = int(str(run.labels["launch.attempt"]))
        is_ended = await asyncio.to_thread(store.outcome, str(run.id), attempt) is not None
        place = Place.parse(str(where))
        found = await self.reach.found(place)
        is_made = not claimed_here or log_path(self._settings, place.name.rpartition("/")[2]).exists()
        return (found if is_made or found is not Found.ABSENT else Found.UNPLACED), is_ended

    async def lose(self, run: FlowRun) -> None:
        """Record that a run's last attempt is gone with its infrastructure. What follows is its flow's to tell."""
        store = await asyncio.to_thread(configured_store, self._settings)
        attempt, place = int(str(run.labels["launch.attempt"])), str(run.labels["launch.place"])
        lost = lost_outcome(str(run.id), attempt, place)
        await asyncio.to_thread(store.put_outcome, lost)

    async def close_task_runs(self, run: FlowRun) -> None:
        """As before an adoption, of a run that goes back to its place in line."""
        async with get_client() as client, translated_errors():
            await self._close_task_runs(client, run.id)

    async def _close_task_runs(self, client: PrefectClient, run: UUID) -> None:
        """End the task runs that the dead agent left running."""
        running = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING]))
        left = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])),
            task_run_filter=TaskRunFilter(state=running),
        )
        for task_run in left:
            await client.set_task_run_state(task_run.id, Crashed(message="Its agent died; adopted"), force=True)

    async def end_cancelled(self, run: FlowRun) -> None:
        """End a cancelled run that nobody works on: its attempt first, then its state."""
        state, is_over = Cancelled(message="Cancelled; its container or process is gone"), False
        try:
            where = run.labels.get("launch.place")
            if where is not None:
                store = await asyncio.to_thread(configured_store, self._settings)
                attempt = int(str(run.labels["launch.attempt"]))
                target, _ = await self.reach.target()
                outcome = await end_cancelled(store, target, Place.parse(str(where)), run=str(run.id), attempt=attempt)
                if outcome.state is not RunState.CANCELLED and not await self._is_told(run, attempt):
                    # It had ended by itself when it was to be cancelled; the server would let only Cancelled pass.
                    state, is_over = outcome_state(outcome), True
            await self._end(run, state, force=is_over)
        except LaunchError as error:
            _logger.warning("Run %s is still to be cancelled: %s", run.name, error)

    async def _is_told(self, run: FlowRun, attempt: int) -> bool:
        """Whether an attempt's end is in the run's history: then it is the next one that was cancelled."""
        async with get_client() as client, translated_errors():
            return told_ends(await client.read_flow_run_states(run.id)) >= attempt

    async def _end(
        self,
        run: FlowRun,
        state: State[Any],  # Prefect's own argument of an untyped state
        *,
        force: bool = False,
    ) -> None:
        try:
            async with get_client() as client, translated_errors():
                await client.set_flow_run_state(run.id, state, force)
        except LaunchError as error:
            _logger.warning("The end of run %s could not be recorded yet: %s", run.name, error)


def _failed(error: LaunchError) -> State[Any]:  # as above
    return Failed(message=str(error))


def told_ends(states: list[State[Any]]) -> int:  # as above
    """How many attempts' ends a run's history tells. Pure.

    Each is a final state, or AwaitingRetry where retries were left. After a final state AwaitingRetry tells no end:
    somebody put the run back on its queue.
    """
    ends, was_final = 0, False
    for state in states:
        ends += state.is_final() or (state.name == "AwaitingRetry" and not was_final)
        was_final = state.is_final()
    return ends


@contextmanager
def known_to(client: PrefectClient, engaged: FlowRun, *, deployment: UUID | None) -> Generator[None]:
    """Spare the engine from reading a run anew whose change it has just been told."""
    if not isinstance(client, FlowClient):
        yield
        return

    def now() -> FlowRun:
        started = engaged.start_time or datetime.now(UTC)
        counted = {"run_count": engaged.run_count + 1, "start_time": started}
        return engaged.model_copy(update={**counted, "deployment_id": deployment})

    client.runs[engaged.id] = now
    try:
        yield
    finally:
        client.runs.pop(engaged.id, None)
