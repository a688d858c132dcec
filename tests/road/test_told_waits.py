"""What a run waits for that only its agent knows: in its state's message, and in `launch why`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from walking import Road

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
