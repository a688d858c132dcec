"""`launch queue drain`: nothing new starts, and the command ends when what ran is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from commands import Document, command, environment, typed
from walking import Road

from launch_jobs.queue import show_queue
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio

WAIT = 'until [ -e "$1" ]; do sleep 0.1; done'


async def test_a_drained_queue_waits_for_what_runs_and_keeps_the_rest(road: Road, tmp_path: Path) -> None:
    """It says what runs; with a time limit it ends with 4 and stays paused; `resume` lets the rest start."""
    queue, job, gate = await road.queue("process"), road.job(WAIT), tmp_path / "gate"
    road.agent("-q", queue)
    running = await road.submit(job, queue, args=(str(gate),))
    name = (await road.until(running, lambda info: info.state is RunState.RUNNING)).name
    late = await typed(road, "queue", "drain", queue, "--timeout", "1s")
    assert late.code == 4
    assert f"Runs of the queue {queue!r} are active still (1): {name}" in late.err
    queued = await road.submit(job, queue, args=(str(gate),))
    draining = await asyncio.create_subprocess_exec(
        *command("queue", "drain", queue), env=environment(road), stderr=asyncio.subprocess.PIPE
    )
    assert draining.stderr
    assert f"Active runs of {queue}: 1 ({name})" in (await draining.stderr.readline()).decode()
    gate.touch()
    await road.end(running)
    _, said = await draining.communicate()
    assert (draining.returncode, f"launch queue resume {queue}" in said.decode()) == (0, True)
    assert (await road.until(queued, lambda _: True)).state is RunState.SCHEDULED
    await typed(road, "queue", "resume", queue)
    assert (await road.end(queued)).state is RunState.COMPLETED


async def test_an_idle_queue_is_drained_at_once(road: Road) -> None:
    """The document is the queue's."""
    queue = await road.queue("process")
    told: Document = (await typed(road, "queue", "drain", queue, "--json")).document
    assert (told["name"], told["paused"], (await show_queue(queue)).paused) == (queue, True, True)
