"""Runs on a process queue, end to end."""

from __future__ import annotations

import json
import platform
import signal
import socket
from collections.abc import Generator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Scheduled
from walking import Road

from launch_jobs.client import connect
from launch_jobs.errors import Refused
from launch_jobs.job import Distribution, Environment
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run, fetch_outputs, read_log

pytestmark = pytest.mark.anyio

SCRIPT = 'echo "hello $WHO"; echo "{\\"accuracy\\": 0.5}" > "$LAUNCH_OUTPUT_DIR/metrics.json"; exit ${CODE:-0}\n'


async def _log(road: Road, run: str) -> bytes:
    return b"".join([chunk async for chunk in read_log(run, road.store)])


async def test_a_run_completes_and_its_results_come_home(road: Road, tmp_path: Path) -> None:
    """State, exit code, log, metrics and files of a completed run are all there."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(SCRIPT), queue, env={"WHO": "world"})
    info = await road.end(run)
    assert (info.state, info.exit_code, info.attempt) == (RunState.COMPLETED, 0, 1)
    assert info.metrics == {"accuracy": 0.5}
    assert await _log(road, run) == b"hello world\n"
    await fetch_outputs(run, road.store, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"accuracy": 0.5}


async def test_a_failing_program_is_a_failed_run_with_its_exit_code(road: Road) -> None:
    """Exit code 3 is Failed, says so, and keeps log and outputs."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    info = await road.end(await road.submit(road.job(SCRIPT), queue, env={"CODE": "3"}))
    assert (info.state, info.exit_code) == (RunState.FAILED, 3)
    assert info.reason == "Exited with code 3"
    assert info.metrics == {"accuracy": 0.5}


async def test_nothing_of_the_attempt_is_left_on_the_host(road: Road) -> None:
    """After the end, folder, checkout, log and lock of the attempt are gone."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(SCRIPT), queue)
    await road.end(run)
    agent = road.agents[0]
    agent.stop()
    left = [path for path in road.home.rglob(f"*{run.replace('-', '')}*") if "store" not in path.parts]
    assert left == []


async def test_cancel_ends_the_program_and_then_says_so(road: Road, tmp_path: Path) -> None:
    """Cancelled is shown only when the process is gone; a run that is over refuses."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    witness = tmp_path / "witness"
    run = await road.submit(road.job(f"echo on; sleep 300; touch {witness}"), queue)
    await road.until(run, lambda info: info.state is RunState.RUNNING and info.place)
    await cancel_run(run)
    info = await road.end(run)
    assert info.state is RunState.CANCELLED
    assert not witness.exists()
    with pytest.raises(Refused, match="is over"):
        await cancel_run(run)


async def test_a_queued_run_is_cancelled_at_once(road: Road) -> None:
    """No agent is needed to cancel what has not started."""
    queue = await road.queue("process")
    run = await road.submit(road.job(SCRIPT), queue)
    assert await cancel_run(run) is RunState.CANCELLED


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_the_next_agent_adopts_a_running_program(road: Road, tmp_path: Path, how: signal.Signals) -> None:
    """However an agent ends, its program goes on, is started once, and its end and whole log are reported."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    starts, go = tmp_path / "starts", tmp_path / "go"
    script = f"echo start >> {starts}; echo one; while [ ! -e {go} ]; do sleep 0.1; done; echo two; exit 4"
    run = await road.submit(road.job(script), queue)
    await road.until(run, lambda _: starts.exists())
    agent.stop(how)  # it waits for no program: this one goes on until the file is there
    go.touch()
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.exit_code, info.attempt) == (RunState.FAILED, 4, 1)
    assert starts.read_text() == "start\n"
    assert await _log(road, run) == b"one\ntwo\n"


async def test_a_run_cancelled_while_no_agent_lives_is_ended_by_the_next(road: Road, tmp_path: Path) -> None:
    """A CANCELLING run that nobody owns does not stay so."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    started = tmp_path / "started"
    run = await road.submit(road.job(f"touch {started}; exec sleep 300"), queue)
    await road.until(run, lambda _: started.exists())
    agent.stop(signal.SIGKILL)
    await cancel_run(run)
    road.agent("-q", queue)
    assert (await road.end(run)).state is RunState.CANCELLED


async def test_the_program_gets_no_setting_or_credential_of_ours(road: Road) -> None:
    """The program's environment holds no PREFECT_ or LAUNCH_JOBS_ variable."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job("env"), queue)
    await road.end(run)
    names = {line.partition("=")[0] for line in (await _log(road, run)).decode().splitlines()}
    assert not {name for name in names if name.startswith(("PREFECT", "LAUNCH_JOBS_"))}
    assert {"LAUNCH_RUN_ID", "LAUNCH_OUTPUT_DIR", "LAUNCH_PARAMETERS"} <= names


async def test_a_time_limit_ends_the_run(road: Road) -> None:
    """A run over its time limit is Failed, and says why."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    info = await road.end(await road.submit(road.job("sleep 300"), queue, timeout_s=1))
    assert info.state is RunState.FAILED
    assert "time limit" in (info.reason or "")


async def test_a_running_program_is_adopted_though_its_deployment_was_deleted(road: Road, tmp_path: Path) -> None:
    """What runs is followed to its end, whatever happened to what it was submitted through."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    started, go = tmp_path / "started", tmp_path / "go"
    job = road.job(f"touch {started}; while [ ! -e {go} ]; do sleep 0.1; done; exit 4")
    run = await road.submit(job, queue)
    await road.until(run, lambda _: started.exists())
    agent.stop(signal.SIGKILL)
    async with connect() as client:
        await client.delete_deployment((await client.read_deployment_by_name(f"launch-job/job.{job.name}")).id)
    go.touch()
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.exit_code) == (RunState.FAILED, 4)


async def test_a_run_that_is_scheduled_again_makes_its_next_attempt(road: Road, tmp_path: Path) -> None:
    """Prefect's own retry of a failed run starts the program once more, as attempt 2."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(f"echo start >> {tmp_path}/starts; [ $LAUNCH_ATTEMPT = 2 ]"), queue)
    assert (await road.end(run)).state is RunState.FAILED
    async with connect() as client:
        await client.set_flow_run_state(UUID(run), Scheduled(), force=True)
    info = await road.until(run, lambda info: info.state is RunState.COMPLETED)
    assert (info.attempt, info.exit_code) == (2, 0)
    assert (tmp_path / "starts").read_text() == "start\n" * 2


@pytest.fixture
def silent_index() -> Generator[str]:
    """A package index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


@pytest.mark.parametrize("cancelled", [False, True])
async def test_an_agent_that_dies_while_it_builds_is_replaced(
    road: Road, silent_index: str, cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was created, too, the next agent goes on, or ends a run that was cancelled meanwhile."""
    queue = await road.queue("process")
    monkeypatch.setenv("LAUNCH_JOBS_PACKAGE_INDEX", silent_index)
    agent = road.agent("-q", queue)
    needs = Environment(python=platform.python_version(), distributions=(Distribution(name="idna", version="3.10"),))
    run = await road.submit(road.job("python -c 'import idna'", environment=needs), queue)
    await road.until(run, lambda info: info.state is RunState.RUNNING)
    agent.stop(signal.SIGKILL)
    if cancelled:
        await cancel_run(run)
    monkeypatch.delenv("LAUNCH_JOBS_PACKAGE_INDEX")
    road.agent("-q", queue)
    assert (await road.end(run)).state is (RunState.CANCELLED if cancelled else RunState.COMPLETED)
