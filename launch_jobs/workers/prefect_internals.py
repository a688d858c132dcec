"""Every private name of Prefect that we touch, in one place; `tests/workers/test_prefect_internals.py` holds each."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakValueDictionary

import httpx
import prefect.task_engine as engine
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import Integration, WorkerMetadata
from prefect.client.schemas.responses import SetStateStatus, StateAcceptDetails
from prefect.context import AsyncClientContext, SettingsContext, SyncClientContext, get_settings_context
from prefect.flow_engine import BaseFlowRunEngine
from prefect.logging import get_logger
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES
from typing_extensions import override

from launch_jobs.client import is_away
from launch_jobs.patience import RETRY_SECONDS

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State, TaskRun
    from prefect.events import Event
    from prefect.settings import Settings
    from prefect.types import KeyValueLabelsField
    from prefect.workers.base import BaseWorker

    from launch_jobs.workers.tenure import Tenure

_logger = get_logger("launch_jobs.agent")
_LONGEST_PAUSE_S = 15.0


def pool_name(worker: BaseWorker[Any, Any, Any]) -> str:
    """The work pool a worker was started for."""
    return worker._work_pool_name  # pyright: ignore[reportPrivateUsage]


def work_queue_names(worker: BaseWorker[Any, Any, Any]) -> list[str]:
    """The work queues a worker was told to serve; empty for all."""
    return sorted(worker._work_queues)  # pyright: ignore[reportPrivateUsage]


def run_limit(worker: BaseWorker[Any, Any, Any]) -> int | None:
    """The worker's `--limit`."""
    return worker._limit  # pyright: ignore[reportPrivateUsage]


def has_pool(worker: BaseWorker[Any, Any, Any]) -> bool:
    """Whether the worker has read its work pool from the server yet."""
    return worker._work_pool is not None  # pyright: ignore[reportPrivateUsage]


def installed_integrations() -> WorkerMetadata:
    """What `BaseWorker._worker_metadata` tells the server, which loads every integration there is to know its version.

    That of Kubernetes alone takes 50 MB of an agent's memory, and half a second of its start.
    """
    found = [(entry.name, entry.dist) for entry in entry_points(group="prefect.collections")]
    integrations = [
        Integration(name=dist.name, version=dist.version)
        for name, dist in found
        if dist and dist.name.replace("-", "_") == name
    ]
    return WorkerMetadata(integrations=integrations)


class FlowClient(PrefectClient):
    """The client of all launch flows of an agent. It spares the server what the engine asks, and we know already.

    Attributes:
        runs: the runs in the engine, as they are now: it reads each once when it has set it running.
        tenures: our claims of them. Of a run that another agent has taken over nothing is told any more.
    """

    def __init__(self) -> None:
        super().__init__(
            PREFECT_API_URL.value() or "",
            auth_string=PREFECT_API_AUTH_STRING.value(),  # pyright: ignore[reportArgumentType] - as `get_client` does
            api_key=PREFECT_API_KEY.value(),
        )
        self.runs: dict[UUID, Callable[[], FlowRun]] = {}
        self.tenures: WeakValueDictionary[UUID, Tenure] = WeakValueDictionary()
        self._without_retries: Settings | None = None

    @override
    async def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        known = self.runs.pop(flow_run_id, None)
        return known() if known else await super().read_flow_run(flow_run_id)

    @override
    async def set_flow_run_state(
        self,
        flow_run_id: UUID | str,
        state: State[Any],
        force: bool = False,
    ) -> OrchestrationResult[Any]:
        """Tell a state until the server answers: else the engine would make of its absence the run's failure.

        Whoever says it again asks first whether the run is still ours: another agent may have told its end.
        """
        tenure, is_again, pause = self.tenures.get(UUID(str(flow_run_id))), False, RETRY_SECONDS
        while True:
            try:
                if tenure and is_again:
                    await tenure.ask(self, UUID(str(flow_run_id)))
                elif tenure and state.is_running():
                    await tenure.holds(self, UUID(str(flow_run_id)))
                if tenure and tenure.is_lost:
                    return OrchestrationResult(state=state, status=SetStateStatus.ACCEPT, details=StateAcceptDetails())
                with self._one_try():
                    return await super().set_flow_run_state(flow_run_id, state, force)
            except httpx.HTTPError as error:
                if not is_away(error):
                    raise
                _logger.warning("Run %s is %s, which cannot be told yet: %r", flow_run_id, state.name, error)
            is_again = True
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    @override
    async def update_flow_run_labels(self, flow_run_id: UUID, labels: KeyValueLabelsField) -> None:
        with self._one_try():
            await super().update_flow_run_labels(flow_run_id, labels)

    def _one_try(self) -> SettingsContext:
        """A context in which Prefect's client does not repeat what was not answered: it asks nobody whether it may."""
        here = get_settings_context()
        if self._without_retries is None:
            self._without_retries = here.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
        return SettingsContext(profile=here.profile, settings=self._without_retries)

    @override
    async def update_flow_run(self, flow_run_id: UUID, **changes: Any) -> httpx.Response | None:  # pyright: ignore[reportIncompatibleMethodOverride] - the engine's own calls name each
        if changes.keys() == {"flow_version", "empirical_policy"}:
            return None  # the engine says that our flow has no retries of Prefect's
        return await super().update_flow_run(flow_run_id, **changes)


_NOTHING_LATER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""A closed connection sends nothing any more, not even what it was given before."""


async def drop_given_up(client: PrefectClient) -> None:
    """Have a request that was given up never reach the server.

    The kernel would go on for minutes to send what a cut network held up, and a run's state would arrive after its end.
    """
    http = client._client  # pyright: ignore[reportPrivateUsage]
    transport = http._transport_for_url(http.base_url)  # pyright: ignore[reportPrivateUsage]
    if isinstance(transport, httpx.AsyncHTTPTransport):
        pool = transport._pool  # pyright: ignore[reportPrivateUsage]
        pool._socket_options = [*(pool._socket_options or ()), _NOTHING_LATER]  # pyright: ignore[reportPrivateUsage]
        await pool.aclose()  # connections that are open do not know it; others are made


async def enter_client_context() -> tuple[AsyncClientContext, SyncClientContext]:
    """Open a `FlowClient`, and make it what `get_client` gives in the current context.

    Beside it a synchronous client, which the engine takes for each run and does not use. Whoever enters keeps what is
    returned for as long as they are needed; an agent does so to its end.
    """
    context = AsyncClientContext()
    context.client = FlowClient()
    await context.__aenter__()
    await drop_given_up(context.client)
    # The version of the server is asked for once a process, above; this opens no connection.
    beside = SyncClientContext()
    beside.__enter__()
    return context, beside


def send_no_flow_heartbeats() -> None:
    """Let the engine tell of no run every few minutes that it is alive: an event and a thread for each.

    Who works on a run is told by its claim, its lock and its agent's heartbeat; what follows from a death is decided
    by whoever adopts the run, not by one of Prefect's automations on these events.
    """
    BaseFlowRunEngine.heartbeat_seconds = None  # pyright: ignore[reportAttributeAccessIssue] - a property of Prefect's


def emit_fewer_task_events(moment_s: float = 1.0) -> None:
    """Let task runs tell the server only what somebody can see: each state costs it as much CPU as a call.

    Never that a task is about to start, and that it runs only if it does so for longer than a moment. Its end always,
    with which the server learns all the rest (when it started, for how long it ran).
    """
    emit = engine.emit_task_run_state_change_event  # pyright: ignore[reportPrivateImportUsage]
    if getattr(emit, "is_ours", False):
        return
    waiting: dict[UUID, asyncio.TimerHandle] = {}

    def emit_what_is_seen(
        task_run: TaskRun, initial_state: State[Any] | None, validated_state: State[Any], follows: Event | None = None
    ) -> Event | None:
        if initial_state is None and validated_state.is_pending():
            return None
        if (timer := waiting.pop(task_run.id, None)) is not None:
            timer.cancel()
        if validated_state.is_running() and (loop := _running_loop()):
            at = loop.call_later(moment_s, emit, task_run, initial_state, validated_state)
            waiting[task_run.id] = at
            return None
        return emit(task_run, initial_state, validated_state, follows)

    emit_what_is_seen.is_ours = True  # pyright: ignore[reportFunctionMemberAccess] - a mark for the second worker
    engine.emit_task_run_state_change_event = emit_what_is_seen  # pyright: ignore[reportPrivateImportUsage]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
