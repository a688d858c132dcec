"""A cancel that comes after the container was created and before it is started, or while the outputs come home."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from walking import Agent, Road

from launch_jobs.names import attempt_name
from launch_jobs.run import RunInfo, RunState
from launch_jobs.runs import cancel_run
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

CREATED, FINISHING = "start.before", "exit.after"
SCRIPTS = {CREATED: "exec sleep 300", FINISHING: 'echo on; echo 1 > "$LAUNCH_OUTPUT_DIR/left"'}


def _is_frozen(agent: Agent) -> bool:
    return Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def _cancelled_at(road: Road, target: str, point: str, image: str, *, killed: bool) -> tuple[str, RunInfo]:
    """Freeze the agent at that point, cancel the run, and let it go on, or another one in its place."""
    queue, script = await road.queue(target), SCRIPTS[point]
    os.environ["LAUNCH_JOBS_CRASH_AT"] = f"{point}:1:stop"
    try:
        agent = road.agent("-q", queue)
    finally:
        del os.environ["LAUNCH_JOBS_CRASH_AT"]
    variables = {"image": image, "command": ["sh", "-c", script]} if target == "docker" else {}
    submission = Submission.model_validate({"job": road.job(script).reference, "queue": queue, "variables": variables})
    run = str((await submit(submission, road.store)).id)
    await road.until_true(lambda: _is_frozen(agent))
    assert await cancel_run(run) is RunState.CANCELLING
    agent.process.send_signal(signal.SIGKILL if killed else signal.SIGCONT)
    if killed:
        agent.process.wait()
        road.agent("-q", queue)
    return run, await road.end(run)


def _left_of(road: Road, run: str) -> list[str]:
    """What is left of its attempt on the engine and on the host."""
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"name=^/{attempt_name(run, 1)}$"],
        check=True,
        capture_output=True,
        text=True,
    )
    return [*listed.stdout.split(), *map(str, (road.home / "runs").glob(f"{attempt_name(run, 1)}*"))]


@pytest.mark.parametrize(("target", "killed"), [("docker", True), ("process", False)])
async def test_a_cancel_of_what_was_created_and_not_started(
    road: Road, docker_base: str, target: str, killed: bool
) -> None:
    """Cancelled, with a receipt; nothing of the attempt is left, whichever agent ends it."""
    run, info = await _cancelled_at(road, target, CREATED, docker_base, killed=killed)
    assert info.state is RunState.CANCELLED
    assert info.stopped is not None, info
    await road.until_true(lambda: not _left_of(road, run))


@pytest.mark.parametrize(("target", "killed"), [("docker", False), ("process", True)])
async def test_a_cancel_while_the_outputs_come_home(road: Road, docker_base: str, target: str, killed: bool) -> None:
    """It comes too late for the program, whose end is told as it was, and soon enough to be an end of the run."""
    run, info = await _cancelled_at(road, target, FINISHING, docker_base, killed=killed)
    assert info.state in {RunState.CANCELLED, RunState.COMPLETED}, info
    assert info.exit_code == 0, info
    await road.until_true(lambda: not _left_of(road, run))
