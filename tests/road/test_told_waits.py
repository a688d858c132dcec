"""What a run waits for that only its agent knows: in its state's message, and in `launch why`."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Cancelled
from walking import Road

from launch_jobs.client import connect
from launch_jobs.run import RunState
from launch_jobs.why import Cause, explain

pytestmark = pytest.mark.anyio

WAIT = 'until [ -e "$1" ]; do sleep 0.1; done'


def _open(gate: Path) -> None:
    gate.touch()


def _give(home: Path, text: str) -> None:
    file = home / "agent.toml"
    file.write_text(text)
    file.chmod(0o600)


async def test_cpus_of_a_host_are_counted_and_told_across_a_crash(road: Road, tmp_path: Path) -> None:
    """The next agent counts what runs; who waits for the rest is told so, in the Prefect UI, too; then it runs."""
    _give(road.home, "cpus = 1.5\n")
    queue, job, gate = await road.queue("process"), road.job(WAIT), tmp_path / "gate"
    agent = road.agent("-q", queue)
    first = await road.submit(job, queue, args=(str(gate),))
    await road.until(first, lambda info: info.state is RunState.RUNNING and info.place)
    agent.stop(signal.SIGKILL)
    second = await road.submit(job, queue, args=(str(gate),))
    road.agent("-q", queue)
    told = await road.until(second, lambda info: (info.reason or "").startswith("Waiting for"))
    assert "Waiting for 1 CPU (0.5 of 1.5 are free on agent" in str(told.reason)
    why = await explain(second, road.store)
    assert (why.cause, why.state) == (Cause.TOLD, RunState.SCHEDULED)
    assert f"Position 1 of 1 in {queue}: waiting for 1 CPU (0.5 of 1.5 are free on agent" in why.what
    _open(gate)
    assert [(await road.end(run)).state for run in (first, second)] == [RunState.COMPLETED] * 2


async def test_a_forced_end_is_an_end_of_the_program_too(road: Road, tmp_path: Path) -> None:
    """Of one that an agent follows, and of one whose agent was dead when somebody forced it."""
    program = 'trap "touch $1.ended; exit 0" TERM; touch $1; while true; do sleep 0.1; done'
    queue, job, names = await road.queue("process"), road.job(program), ("dead", "alive")
    for name in names:
        agent = road.agent("-q", queue)
        run = await road.submit(job, queue, args=(str(tmp_path / name),))
        await road.until_true((tmp_path / name).exists)
        if name == "dead":
            agent.stop(signal.SIGKILL)
        async with connect() as client:
            await client.set_flow_run_state(UUID(run), Cancelled(message="by force"), force=True)
    await road.until_true(lambda: all((tmp_path / f"{name}.ended").exists() for name in names))
    await road.until_true(lambda: not [*(road.home / "runs").glob("lj-*")])
