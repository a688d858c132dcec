"""The user's own DAG, `examples/pipeline`: from a plain shell, on both kinds of queue, and deployed on a schedule."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound
from users_project import BIN, Project, graph_of, users_project
from walking import LIMIT_S, Agent, Road

from launch_jobs.client import connect
from launch_jobs.local.connection import Connection, client_environment

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.anyio


@pytest.fixture
def road(two_machines: Road) -> Road:
    """Captured and submitted on one machine, executed on another."""
    return two_machines


@pytest.fixture
def project(road: Road, connected: Connection, tmp_path: Path) -> Project:
    """The example in a folder of its own, which is no git repository."""
    return users_project(road, connected, tmp_path / "pipeline")


async def _flow_runs(flow: str, queue: str) -> list[FlowRun]:
    """The runs of a flow that ran on a queue, or for one."""
    async with connect() as client:
        found = await client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), limit=200)
    return [run for run in found if queue in {run.parameters.get("queue"), run.work_pool_name}]


async def _report(flow_run: FlowRun) -> str:
    body = {"artifacts": {"flow_run_id": {"any_": [str(flow_run.id)]}, "key": {"any_": ["pipeline-report"]}}}
    async with connect() as client:
        (artifact,) = (await client.request("POST", "/artifacts/filter", json=body)).json()
    return str(artifact["data"])


async def test_a_failed_training_shows_in_the_graph_and_the_others_go_on(road: Road, project: Project) -> None:
    """From a plain shell: one of three fails, the best of the others is evaluated, and the report says so."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    project.call("python", "flow.py", "--queue", queue, "--learning-rates", "-1", "0.03", "0.3")
    (flow_run,) = await _flow_runs("pipeline", queue)
    boxes = await graph_of(flow_run.id)
    tasks = {box.label.partition(" ")[2] or box.label.partition(":")[0]: box for box in boxes if box.kind == "task-run"}
    states = {label: box.state for label, box in tasks.items() if "steps/" not in label}
    assert states == {
        "--learning-rate=-1.0": "FAILED",
        "--learning-rate=0.03": "COMPLETED",
        "--learning-rate=0.3": "COMPLETED",
        "evaluate": "COMPLETED",
    }
    inner = {box.inside: box for box in boxes if box.kind == "flow-run"}
    best, failed, last = (
        inner[tasks[name].id,] for name in ("--learning-rate=0.3", "--learning-rate=-1.0", "evaluate")
    )
    assert (best.state, failed.state, last.state) == ("COMPLETED", "FAILED", "COMPLETED")
    assert f"Best: **{best.label.removeprefix('launch-job / ')}**" in await _report(flow_run)
    async with connect() as client:
        evaluated = await client.read_flow_run(last.id)  # pyright: ignore[reportArgumentType] # text will do
    assert evaluated.parameters["datasets"] == {"model": f"outputs://{best.id}/1/model.json"}


async def test_without_a_completed_training_the_flow_fails_in_one_line(road: Road, project: Project) -> None:
    """Nothing to choose from is a failed flow run that says so, and nothing is evaluated."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    said = project.call("python", "flow.py", "--queue", queue, "--learning-rates", "-1", code=1)
    (flow_run,) = await _flow_runs("pipeline", queue)
    assert flow_run.state is not None
    assert (flow_run.state_name, flow_run.state.message) == (
        "Failed",
        "None of the 1 training runs completed; `launch list` says why",
    )
    assert "Traceback" not in said
    assert len(await _flow_runs("launch-job", queue)) == 1


async def test_the_pipeline_runs_in_containers(road: Road, project: Project, docker_base: str) -> None:
    """On a docker queue, from a git repository: the container of `evaluate` finds the model of the best training."""
    del docker_base
    for words in ("init -q", "add .", "-c user.name=u -c user.email=u@example.com commit -qm first"):
        project.call("git", *words.split())
    queue = await road.queue("docker")
    road.agent("-q", queue)
    project.call("python", "flow.py", "--queue", queue, "--learning-rates", "0.3")
    (flow_run,) = await _flow_runs("pipeline", queue)
    assert "{'worst': 0.0411}" in await _report(flow_run)


def _worker(road: Road, project: Project, pool: str) -> Agent:
    log = road.home / "stock-worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(BIN / "prefect"), "worker", "start", "--pool", pool, "--type", "process"],
            cwd=road.home,
            env={**project.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    road.agents.append(Agent(process, log))
    return road.agents[-1]


@pytest.fixture
async def stock_pool(road: Road) -> AsyncIterator[str]:
    """A stock work pool of type process; gone after the test, with what was deployed to it."""
    pool = f"local-{road.mark}"
    async with connect() as client:
        await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    yield pool
    async with connect() as client:
        with suppress(ObjectNotFound):
            deployment = await client.read_deployment_by_name("pipeline/nightly")
            if deployment.work_pool_name == pool:
                await client.delete_deployment(deployment.id)
        await client.delete_work_pool(pool)


async def test_deployed_with_a_schedule_it_runs_on_a_stock_worker(
    road: Road, project: Project, stock_pool: str, connected: Connection
) -> None:
    """`prefect deploy`, a schedule and a stock process worker: a scheduled run completes, its jobs ran on our queue."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    project.environment |= client_environment(connected)  # eval "$(launch env)"
    named = json.dumps({"queue": queue, "learning_rates": [0.3]})
    project.call("prefect", "--no-prompt", "deploy", "-n", "nightly", "--pool", stock_pool, "--params", named)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    async with connect() as client:
        deployment = await client.read_deployment_by_name("pipeline/nightly")
        assert [one.schedule for one in deployment.schedules] == [CronSchedule(cron="0 3 * * *", timezone="UTC")]
        once = IntervalSchedule(interval=timedelta(days=300), anchor_date=soon)
        await client.create_deployment_schedules(deployment.id, [(once, True)])
    _worker(road, project, stock_pool)
    flow_run = await _ended(road, queue)
    assert (flow_run.state_name, flow_run.auto_scheduled) == ("Completed", True), road.agents_said()
    assert flow_run.expected_start_time == soon
    assert "{'worst': 0.0411}" in await _report(flow_run)
    assert [box.state for box in await graph_of(flow_run.id) if box.kind == "flow-run"] == ["COMPLETED"] * 2


async def _ended(road: Road, queue: str) -> FlowRun:
    deadline = time.monotonic() + LIMIT_S
    while True:
        for flow_run in await _flow_runs("pipeline", queue):
            if flow_run.state is not None and flow_run.state.is_final():
                return flow_run
        assert time.monotonic() < deadline, road.agents_said()
        await asyncio.sleep(0.5)
