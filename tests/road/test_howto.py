"""The how-tos in docs/howto: their commands, as they stand there, do on a real server what they promise."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from users_project import Project, users_project
from walking import LIMIT_S, Road

from launch_jobs.client import connect
from launch_jobs.local.connection import Connection
from launch_jobs.registration import register
from launch_jobs.run import RunState

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.anyio

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def _commands(name: str, replaced: dict[str, str]) -> list[str]:
    """The shell blocks of a how-to, with names and addresses of the test's own."""
    blocks = re.findall(r"```sh\n(.*?)```", (HOWTO / name).read_text(), re.DOTALL)
    for old, new in replaced.items():
        assert old in "".join(blocks)
        blocks = [block.replace(old, new) for block in blocks]
    return blocks


@pytest.fixture
def shell(road: Road, connected: Connection, tmp_path: Path) -> Project:
    """A user's shell, which knows of the server by its home only."""
    return users_project(road, connected, tmp_path / "folder")


async def _runs_of(deployment: str, state: StateType) -> list[FlowRun]:
    async with connect() as client:
        found = await client.read_deployment_by_name(deployment)
        return await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[state])),
            )
        )


async def _until_runs(road: Road, deployment: str, state: StateType) -> list[FlowRun]:
    """Runs of a deployment in a state, as soon as there are some."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := await _runs_of(deployment, state)):
        assert time.monotonic() < deadline, road.agents_said()
        await asyncio.sleep(0.5)
    return found


async def test_a_job_runs_every_night(road: Road, shell: Project) -> None:
    """The server plans a run of the job for three o'clock every night, until the schedule is cleared."""
    queue = await road.queue("process")
    job = road.job("exit 0")
    await register(job, queue, road.store)
    deployment = f"launch-job/job.{job.name}"
    create, clear = _commands("nightly.md", {"job.train": f"job.{job.name}", "Europe/Berlin": "UTC"})
    assert "0 3 * * *" in shell.call("bash", "-euc", create)
    planned = await _until_runs(road, deployment, StateType.SCHEDULED)
    times = [run.expected_start_time.astimezone(UTC) for run in planned if run.expected_start_time]
    assert {(time.hour, time.minute) for time in times} == {(3, 0)}
    assert len({time.date() for time in times}) == len(planned) >= 2
    assert {run.work_pool_name for run in planned} == {queue}
    shell.call("bash", "-euc", 'eval "$(launch env)"; ' + clear)
    assert await _runs_of(deployment, StateType.SCHEDULED) == []


async def test_a_planned_run_is_run_by_an_agent(road: Road, shell: Project) -> None:
    """The same command with a schedule of every minute: an agent runs the job, with its tags and its name."""
    queue = await road.queue("process")
    job = road.job("exit 0")
    await register(job, queue, road.store)
    deployment = f"launch-job/job.{job.name}"
    create, clear = _commands("nightly.md", {"job.train": f"job.{job.name}", "0 3 * * *": "* * * * *"})
    shell.call("bash", "-euc", create)
    road.agent("-q", queue)
    (run, *_) = await _until_runs(road, deployment, StateType.COMPLETED)
    shell.call("bash", "-euc", 'eval "$(launch env)"; ' + clear)
    assert run.auto_scheduled
    assert {f"job:{job.name}", f"queue:{queue}"} <= set(run.tags)


class _Listener(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.heard: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/failed"


class _Keep(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Keep the body."""
        assert isinstance(self.server, _Listener)
        self.server.heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def listener() -> Iterator[_Listener]:
    """A web hook on this machine."""
    listener = _Listener()
    yield listener
    listener.shutdown()
    listener.server_close()


async def test_a_failure_calls_the_web_hook(road: Road, shell: Project, listener: _Listener) -> None:
    """A run that completes is silent; one that fails posts its name and reason; after the end nobody is called."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    job = road.job("exit $CODE")
    names = {"job:train": f"job:{job.name}", "train failed": f"failed {road.mark}", "'on-failure'": f"'on-{road.mark}'"}
    create, delete = _commands("on-failure.md", names | {"http://127.0.0.1:8765/failed": listener.url})
    shell.call("bash", "-euc", create)
    assert (await road.end(await road.submit(job, queue, env={"CODE": "0"}))).state is RunState.COMPLETED
    failed = await road.end(await road.submit(job, queue, env={"CODE": "3"}))
    await road.until_true(lambda: listener.heard)
    assert [json.loads(body)["text"] for body in listener.heard] == [f"{failed.name}: Exited with code 3"]
    shell.call("bash", "-euc", 'eval "$(launch env)"; ' + delete)
