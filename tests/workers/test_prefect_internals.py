"""Each private or undocumented thing of Prefect that we stand on, checked against the installed Prefect."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from typing import Any
from uuid import uuid4

import pytest
from prefect import Flow, flow_engine, task_engine
from prefect.cli import worker as stock_command
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flow_engine import BaseFlowRunEngine, FlowRunEngine, run_flow
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed, Failed, Pending, Running, Scheduled
from prefect.workers.base import BaseWorker

from launch_jobs.local.connection import Connection
from launch_jobs.workers import DockerWorker, ProcessWorker
from launch_jobs.workers import prefect_internals as internals
from launch_jobs.workers.admission import Admission, was_waiting

pytestmark = pytest.mark.anyio


@pytest.fixture
def worker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> ProcessWorker:
    """A worker made as the stock command makes it."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path_factory.mktemp("home")))
    return ProcessWorker(work_pool_name="pool", work_queues=["low", "high"], limit=3, name="me", prefetch_seconds=10)


def test_the_pool_of_a_worker(worker: ProcessWorker) -> None:
    """`_work_pool_name` holds what --pool named."""
    assert internals.pool_name(worker) == "pool"


def test_the_work_queues_of_a_worker(worker: ProcessWorker) -> None:
    """`_work_queues` holds what --work-queue named."""
    assert internals.work_queue_names(worker) == ["high", "low"]


def test_the_limit_of_a_worker(worker: ProcessWorker) -> None:
    """`_limit` holds what --limit named, and our slots follow it."""
    assert internals.run_limit(worker) == 3
    assert worker.slots.limit == 3


def test_the_engine_has_no_heartbeats_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number of seconds it starts no thread for a run."""
    monkeypatch.setattr(BaseFlowRunEngine, "heartbeat_seconds", 30)
    internals.send_no_flow_heartbeats()
    engine = FlowRunEngine(flow=Flow(lambda: None, name="none"))
    before = threading.active_count()
    with vars(flow_engine)["_send_heartbeats"](engine):
        assert threading.active_count() == before


def test_an_agent_tells_of_integrations_without_loading_them() -> None:
    """It says the same as the stock worker, which imports them all; the agent's memory is spared that."""
    program = (
        "import asyncio, sys\n"
        "from prefect.workers.base import BaseWorker\n"
        "from launch_jobs.workers import ProcessWorker\n"
        "ours = asyncio.run(ProcessWorker._worker_metadata(None))\n"
        "assert not {'prefect_docker', 'prefect_kubernetes', 'kubernetes_asyncio', 'aiohttp'} & sys.modules.keys()\n"
        "stock = asyncio.run(BaseWorker._worker_metadata(None))\n"
        "told = [sorted((one.name, one.version) for one in each.integrations) for each in (ours, stock)]\n"
        "assert told[0] == told[1] != [], told\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_worker_has_no_pool_before_it_has_read_it(worker: ProcessWorker) -> None:
    """`_work_pool` is None until the first answer of the server."""
    assert not internals.has_pool(worker)


def test_the_stock_command_calls_start_with_what_ours_takes() -> None:
    """Our `start` takes every argument of the base's; the stock command passes these by name."""
    base, ours = inspect.signature(vars(BaseWorker)["start"]), inspect.signature(ProcessWorker.start)
    assert list(base.parameters) == list(ours.parameters)
    source = inspect.getsource(stock_command)
    assert all(f"{name}=" in source[source.index("worker.start(") :] for name in ours.parameters if name != "self")


def test_types_are_registered_under_our_names() -> None:
    """Prefect finds the classes by their types; the abstract base is not registered."""
    assert BaseWorker.get_worker_class_from_type("launch-docker") is DockerWorker
    assert BaseWorker.get_worker_class_from_type("launch-process") is ProcessWorker
    assert {name for name in BaseWorker.get_all_available_worker_types() if name.startswith("launch")} == {
        "launch-docker",
        "launch-kubernetes",
        "launch-process",
    }


def test_the_engine_and_the_client_take_what_we_pass() -> None:
    """`run_flow`, `PrefectClient.request` and `drain_all` have the parameters that we use."""
    assert {"flow", "flow_run", "return_type"} <= set(inspect.signature(run_flow).parameters)
    assert {"method", "path", "path_params"} <= set(inspect.signature(PrefectClient.request).parameters)
    assert "timeout" in inspect.signature(APILogWorker.drain_all).parameters
    assert inspect.iscoroutinefunction(PrefectClient.update_flow_run_labels)


async def test_the_engine_finds_the_client_of_the_flow_thread(connected: Connection) -> None:
    """`get_client` gives the client of the context that was entered, to what is called in it."""
    del connected

    async def entered() -> bool:
        opened, beside = await internals.enter_client_context()
        async with get_client() as client, get_client() as again:
            same = client is again and get_client(sync_client=True) is get_client(sync_client=True)
        beside.__exit__(None, None, None)
        await opened.__aexit__(None, None, None)
        return same and isinstance(client, internals.FlowClient)

    assert await asyncio.ensure_future(entered())


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_request_that_is_given_up_is_not_sent_any_more(is_open: bool) -> None:
    """Its connection is reset, not closed with what was not sent yet; also one that was open before."""
    asked, ended = asyncio.Event(), asyncio.Queue[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line.startswith(b"GET /api/hello"):
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                if line.startswith(b"GET /api/slow"):
                    asked.set()
            ended.put_nowait("closed")
        except ConnectionResetError:
            ended.put_nowait("reset")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        client = PrefectClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api")
        if is_open:
            await client.hello()
        await internals.drop_given_up(client)
        assert not is_open or await ended.get() == "closed"
        asking = asyncio.ensure_future(client.request("GET", "/slow"))  # pyright: ignore[reportArgumentType] - a path of ours
        await asyncio.wait_for(asked.wait(), 60)
        asking.cancel()
        assert await asyncio.wait_for(ended.get(), 60) == "reset"


async def test_what_is_known_of_a_run_is_not_asked_for(connected: Connection) -> None:
    """A run that was made known is read once without the server, and then from it; it has no answer for this one."""
    del connected
    known = FlowRun(flow_id=uuid4())
    async with internals.FlowClient() as client:
        client.runs[known.id] = lambda: known
        assert await client.read_flow_run(known.id) is known
        with pytest.raises(ObjectNotFound):
            await client.read_flow_run(known.id)
        assert await client.update_flow_run(known.id, flow_version="1", empirical_policy=known.empirical_policy) is None
        with pytest.raises(PrefectHTTPStatusError):
            await client.update_flow_run(known.id, name="other")


async def test_a_task_tells_its_end_and_that_it_runs_only_if_it_does_so_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine's events go through our filter, which keeps the end of each task and the start of a long one."""
    told: list[str] = []
    late = asyncio.Event()

    def tell(task_run: TaskRun, _: object, state: State[Any], follows: object = None) -> None:
        told.append(f"{task_run.name} {state.name}")
        if state.is_running():
            late.set()

    monkeypatch.setattr(task_engine, "emit_task_run_state_change_event", tell)
    internals.emit_fewer_task_events(moment_s=0.05)
    internals.emit_fewer_task_events()
    emit = vars(task_engine)["emit_task_run_state_change_event"]
    short, long = (TaskRun(flow_run_id=None, task_key="t", dynamic_key="0", name=name) for name in ("short", "long"))
    for run in (short, long):
        emit(run, None, Pending())
        emit(run, Pending(), Running())
    emit(short, Running(), Completed())
    await asyncio.wait_for(late.wait(), 10)
    emit(long, Running(), Failed())
    assert told == ["short Completed", "long Running", "long Failed"]


def test_the_engine_calls_what_we_replace() -> None:
    """The task engine tells a task's states by this function of its own module, positional or by these names."""
    source = inspect.getsource(task_engine.AsyncTaskRunEngine)
    assert source.count("emit_task_run_state_change_event(") == 2
    assert all(f"{name}=" in source for name in ("task_run", "initial_state", "validated_state", "follows"))


def _nothing() -> None:
    """What a flow is made of."""


async def test_a_claim_tells_whether_the_run_waited(connected: Connection) -> None:
    """The server copies the scheduled time of a run that waited into its claim; one that was over stays over."""
    del connected
    door = Admission("no queue")
    async with get_client() as client:
        run = await client.create_flow_run(Flow(_nothing, name="claimed"), state=Scheduled())
        assert await door.claims(client, run, "Claimed")
        assert not await door.claims(client, run, "Claimed by another")
        await client.set_flow_run_state(run.id, Completed(), force=True)
        assert not await door.claims(client, run, "Claimed too late")
        states = sorted(await client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    assert [state.name for state in states] == ["Scheduled", "Pending", "Completed", "Pending", "Completed"]
    assert [was_waiting(state) for state in states if state.is_pending()] == [True, False]
