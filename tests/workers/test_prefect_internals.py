"""Each private or undocumented thing of Prefect that we stand on, checked against the installed Prefect."""

from __future__ import annotations

import inspect

import pytest
from prefect.cli import worker as stock_command
from prefect.client.orchestration import PrefectClient
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogWorker
from prefect.workers.base import BaseWorker

from launch_jobs.workers import DockerWorker, ProcessWorker
from launch_jobs.workers import prefect_internals as internals


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
        "launch-process",
    }


def test_the_engine_and_the_client_take_what_we_pass() -> None:
    """`run_flow`, `PrefectClient.request` and `drain_all` have the parameters that we use."""
    assert {"flow", "flow_run", "return_type"} <= set(inspect.signature(run_flow).parameters)
    assert {"method", "path", "path_params"} <= set(inspect.signature(PrefectClient.request).parameters)
    assert "timeout" in inspect.signature(APILogWorker.drain_all).parameters
    assert inspect.iscoroutinefunction(PrefectClient.update_flow_run_labels)
