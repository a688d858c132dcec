"""The stock Prefect commands work with our flows, queues and agents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from walking import LIMIT_S, Agent, Road

from launch_jobs.client import connect
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


def _prefect(road: Road, *arguments: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=folder,
        env={**os.environ, "LAUNCH_JOBS_HOME": str(road.home), "COLUMNS": "300"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _worker(road: Road, queue: str, queue_type: str) -> Agent:
    log = road.home / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", queue, "--type", f"launch-{queue_type}"],
            cwd=road.home,
            env={**os.environ, "LAUNCH_JOBS_HOME": str(road.home)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    road.agents.append(Agent(process, log))
    return road.agents[-1]


async def test_the_project_deploys_and_a_stock_worker_and_deployment_run_launch_a_job(
    road: Road, tmp_path: Path
) -> None:
    """`prefect deploy --all`, `prefect worker start` and `prefect deployment run` are enough."""
    queue = await road.queue("process")
    project = tmp_path / "project"
    _lay_down(project, queue)
    _prefect(road, "deploy", "--all", folder=project)
    _worker(road, queue, "process")
    job = road.job("exit 0")
    said = _prefect(road, "deployment", "run", f"launch-job/launch-{queue}", "-p", f"job={job.reference}", "--watch")
    assert "Completed" in said
    async with connect() as client:
        here = WorkPoolFilter(name=WorkPoolFilterName(any_=[queue]))  # all of them would be more than a page
        names = {found.name for found in await client.read_deployments(work_pool_filter=here)}
    assert {f"launch-{queue}", f"capture-{queue}", f"build-{queue}", f"queue.{queue}"} <= names


def _lay_down(project: Path, queue: str) -> None:
    """The project as `launch init` lays it down, its deployments named after the test's own queue."""
    subprocess.run([sys.executable, "-m", "launch_jobs", "init", str(project)], check=True, capture_output=True)
    text = yaml.safe_load((project / "prefect.yaml").read_text())
    for deployment in text["deployments"]:
        deployment["name"] += f"-{queue}"
        deployment["work_pool"] = {"name": queue, "work_queue_name": "medium"}
    (project / "prefect.yaml").write_text(yaml.safe_dump(text))


async def test_a_flow_called_from_python_runs_here_and_now(road: Road, tmp_path: Path) -> None:
    """`await launch_job(...)` needs no queue and no agent."""
    job = road.job("echo here > here.txt; cp here.txt $LAUNCH_OUTPUT_DIR; exit $CODE")
    script = tmp_path / "script.py"
    script.write_text(
        "import asyncio, sys\n"
        "from flows.launch_job import launch_job\n"
        "outcome = asyncio.run(launch_job(job=sys.argv[1], env={'CODE': sys.argv[2]}))\n"
        "print('files', [file.path for file in outcome.outputs.files])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAUNCH_JOBS_HOME": str(road.home)}
    done, failed = (_python([str(script), job.reference, code], environment) for code in ("0", "3"))
    assert done.returncode == 0, done.stderr
    assert "files ['here.txt']" in done.stdout
    assert failed.returncode == 1
    assert "RunEnded: Exited with code 3" in failed.stderr


def _python(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)


async def test_the_collection_is_known_to_the_stock_command(road: Road) -> None:
    """Both worker types load without a warning, and bring their template form."""
    said = _prefect(road, "work-pool", "create", f"stock-{uuid.uuid4().hex[:8]}", "--type", "launch-docker")
    assert "Failed to load" not in said
    template = json.loads(_prefect(road, "work-pool", "get-default-base-job-template", "--type", "launch-process"))
    assert set(template) == {"job_configuration", "variables"}


async def test_an_agent_makes_a_launch_queue_of_a_pool_that_the_stock_command_made(road: Road) -> None:
    """Priorities and the generic deployment are added when an agent first serves the pool."""
    name = f"stock-{uuid.uuid4().hex[:8]}"
    _prefect(road, "work-pool", "create", name, "--type", "launch-process")
    road.queues.append(name)
    road.agent("-q", name)
    async with connect() as client:
        await road.until_true(lambda: "serves" in road.agents_said())
        assert {"critical", "high", "medium", "low"} <= {
            queue.name for queue in await client.read_work_queues(work_pool_name=name)
        }
    run = await road.submit(road.job("exit 0"), name)
    assert (await road.end(run)).state is RunState.COMPLETED
