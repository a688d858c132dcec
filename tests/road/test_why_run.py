"""`launch why` against a real server, in every state that a queue can hold a run in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from commands import typed
from prefect.states import Scheduled
from walking import Road

from launch_jobs.client import connect
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run
from launch_jobs.submission import Submission, submit
from launch_jobs.why import Cause, Why, explain

pytestmark = pytest.mark.anyio

WAIT = 'until [ -e "$1" ]; do sleep 0.1; done; exit 4'


def open_gate(gate: Path) -> None:
    """Let the program end well."""
    gate.touch()


async def _why(road: Road, run: str) -> Why:
    return await explain(run, road.store)


async def test_positions_follow_priority_and_then_time(road: Road) -> None:
    """A later run of a higher priority is before an earlier one; without an agent that is the reason."""
    queue = await road.queue("process")
    job = road.job("true")
    first, second = await road.submit(job, queue), await road.submit(job, queue)
    urgent = await submit(Submission(job=job.reference, queue=queue, priority="high"), road.store)
    told = [await _why(road, run) for run in (str(urgent.id), first, second)]
    assert [why.position for why in told] == [1, 2, 3]
    assert {why.waiting for why in told} == {3}
    assert {why.cause for why in told} == {Cause.NO_AGENT}


async def test_a_paused_queue_is_named(road: Road) -> None:
    """By the command, with what to do, and since when."""
    queue = await road.queue("process")
    run = await road.submit(road.job("true"), queue)
    await typed(road, "queue", "pause", queue)
    said = await typed(road, "why", run)
    assert said.code == 0, said.err
    assert f"Position 1 of 1 in {queue}: the queue is paused" in said.out
    assert f"launch queue resume {queue}" in said.out
    assert "since" in said.out


async def test_a_reached_limit_and_a_running_run(road: Road, tmp_path: Path) -> None:
    """One run is followed by the agent; the other waits for the queue's limit; then both end."""
    queue = await road.queue("process", limit=1)
    gate = tmp_path / "gate"
    job = road.job(WAIT)
    road.agent("-q", queue)
    running = await road.submit(job, queue, args=(str(gate),))
    await road.until(running, lambda info: info.state is RunState.RUNNING)
    waiting = await road.submit(job, queue, args=(str(gate),))
    assert (await _why(road, running)).cause is Cause.RUNNING
    why = await _why(road, waiting)
    assert (why.cause, why.position) == (Cause.LIMIT, 1)
    assert "(1 of 1 runs)" in why.what
    open_gate(gate)
    await road.end(waiting)
    over = (await typed(road, "why", waiting, "--json")).document
    assert (over["cause"], over["exit_code"]) == ("over", 4)
    assert "Exited with code 4" in str(over["what"])


async def test_an_agent_at_its_limit(road: Road, tmp_path: Path) -> None:
    """The only agent works on as many runs as it may; it is named, with its limit."""
    queue = await road.queue("process")
    job = road.job(WAIT)
    road.agent("-q", queue, "--max-jobs", "1")
    running = await road.submit(job, queue, args=(str(tmp_path / "gate"),))
    await road.until(running, lambda info: info.state is RunState.RUNNING)
    waiting = await road.submit(job, queue, args=(str(tmp_path / "gate"),))
    why = await _why(road, waiting)
    assert why.cause is Cause.AGENT_LIMIT, why.what
    assert "is at its limit (1 of 1 runs)" in why.what
    # In the Prefect UI, too, and after that has called it late.
    await road.until(waiting, lambda info: "is at its limit (1 of 1 runs)" in (info.reason or ""))
    open_gate(tmp_path / "gate")
    await road.end(waiting)


async def test_a_run_scheduled_for_later_and_a_cancelled_one(road: Road) -> None:
    """Its time is told; once cancelled, that is."""
    queue = await road.queue("process")
    await typed(road, "queue", "pause", queue)
    later = await road.submit(road.job("true"), queue)
    async with connect() as client:
        moment = datetime.now(UTC) + timedelta(hours=2)
        await client.set_flow_run_state(UUID(later), Scheduled(scheduled_time=moment), force=True)
    why = await _why(road, later)
    assert why.cause is Cause.LATER
    await cancel_run(later)
    assert (await _why(road, later)).what.startswith("Cancelled")


async def test_an_unknown_run_is_bad_input(road: Road) -> None:
    """One line, code 2."""
    said = await typed(road, "why", "nosuch")
    assert (said.code, len(said.err.splitlines())) == (2, 1)


async def test_a_failed_run_is_put_back_by_the_command(road: Road, tmp_path: Path) -> None:
    """It waits on its queue again, runs as attempt 2, and once completed is refused (3)."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job('[ -e "$1" ]'), queue, args=(str(tmp_path / "gate"),))
    assert (await road.end(run)).state is RunState.FAILED
    agent.stop()
    back = await typed(road, "retry", run, "--json")
    assert (back.code, back.document["state"]) == (0, "scheduled"), back.err
    assert (await _why(road, run)).position == 1
    open_gate(tmp_path / "gate")
    road.agent("-q", queue)
    again = await road.end(run)
    assert (again.state, again.attempt) == (RunState.COMPLETED, 2)
    assert (await typed(road, "retry", run)).code == 3
