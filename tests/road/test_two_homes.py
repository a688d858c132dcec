"""A second agent on the same engine, with a home of its own, takes over from one that is gone."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from walking import Road

from launch_jobs.client import connect, wait_for
from launch_jobs.job import Entrypoint, ImageSource, Job, Origin
from launch_jobs.names import attempt_name
from launch_jobs.output_tail import OUTPUT_LOGGER
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

_SCRIPT = "echo one; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo two; exit 4"


async def test_an_agent_of_another_home_adopts_a_running_container(
    road: Road, docker_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one of two that could; exit code and whole log are kept, and no trace of the taking over is left."""
    monkeypatch.setenv("LAUNCH_JOBS_ADOPT_GRACE_S", "1")
    monkeypatch.setenv("PREFECT_WORKER_HEARTBEAT_SECONDS", "1")
    monkeypatch.setenv("LAUNCH_JOBS_STORE", (road.home / "store").as_uri())
    job = Job(source=ImageSource(reference=docker_base), entrypoint=Entrypoint(argv=("sh", "-c", _SCRIPT)))
    version = road.store.add(f"ready-{road.mark}", job, Origin())
    queue = await road.queue("docker")
    first = road.agent("-q", queue)
    run = await road.submit(version, queue)
    container = attempt_name(run, 1)
    await road.until_true(lambda: wait_for(_shown(run)) == ["one"])
    first.stop(signal.SIGKILL)
    for name in ("second", "third"):
        road.host = tmp_path / name
        road.host.mkdir()
        road.agent("-q", queue)
    _docker("exec", container, "touch", "/tmp/go")
    info = await road.end(run)
    assert (info.state, info.exit_code, info.attempt) == (RunState.FAILED, 4, 1)
    assert b"".join([chunk async for chunk in read_log(run, road.store)]) == b"one\ntwo\n"
    assert await _shown(run) == ["one", "two"]
    async with connect() as client:
        claims = [state for state in await client.read_flow_run_states(UUID(run)) if "Claimed" in (state.message or "")]
        left = [one.name for one in await client.read_variables() if run in one.name]
    assert (len(claims), left) == (2, [])


async def _shown(run: str) -> list[str]:
    """Output in Prefect's log."""
    async with connect() as client:
        found = await client.read_logs(log_filter=LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)])))
    return [entry.message for entry in found if entry.name.endswith(f".{OUTPUT_LOGGER}")]


def _docker(*arguments: str) -> bytes:
    return subprocess.run(["docker", *arguments], check=False, capture_output=True).stdout
