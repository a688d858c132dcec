"""Attempts after the first: by themselves while retries are left, and by hand."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import State
from walking import Road

from launch_jobs.client import connect
from launch_jobs.errors import Refused
from launch_jobs.queue import pause_queue
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run, retry_run

pytestmark = pytest.mark.anyio

FAILS_ONCE = 'echo start >> "$1"; [ "$(wc -l < "$1")" -gt 1 ]'


async def _states(run: str) -> list[State[object]]:
    async with connect() as client:
        return await client.read_flow_run_states(UUID(run))


async def test_a_failed_attempt_is_made_again_while_retries_are_left(road: Road, tmp_path: Path) -> None:
    """The run goes back to its queue by the server's clock, is never shown Failed, and completes as attempt 2."""
    queue, starts = await road.queue("process"), tmp_path / "starts"
    road.agent("-q", queue)
    run = await road.submit(road.job(FAILS_ONCE), queue, args=[str(starts)], retries=1)
    info = await road.end(run)
    assert (info.state, info.attempt, info.exit_code) == (RunState.COMPLETED, 2, 0)
    assert starts.read_text() == "start\n" * 2
    states = await _states(run)
    assert "Failed" not in [state.name for state in states]
    again = next(state for state in states if state.name == "AwaitingRetry")
    assert again.message == "Attempt 1 of 2: Exited with code 1; to be tried again"
    assert again.state_details.scheduled_time is not None


async def test_without_retries_a_failed_attempt_is_the_end(road: Road, tmp_path: Path) -> None:
    """One attempt is made; by hand the run goes back on its queue, and what completed or goes on does not."""
    queue, starts = await road.queue("process"), tmp_path / "starts"
    agent = road.agent("-q", queue)
    run = await road.submit(road.job(FAILS_ONCE), queue, args=[str(starts)])
    info = await road.end(run)
    assert (info.state, info.attempt) == (RunState.FAILED, 1)
    agent.stop()
    assert await retry_run(run) is RunState.SCHEDULED
    with pytest.raises(Refused, match="is not over"):
        await retry_run(run)
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.attempt) == (RunState.COMPLETED, 2)
    with pytest.raises(Refused, match="completed"):
        await retry_run(run)


async def test_retries_end_with_their_number(road: Road, tmp_path: Path) -> None:
    """The last attempt's end is the run's."""
    queue, starts = await road.queue("process"), tmp_path / "starts"
    road.agent("-q", queue)
    run = await road.submit(road.job('echo start >> "$1"; exit 3'), queue, args=[str(starts)], retries=2)
    info = await road.end(run)
    assert (info.state, info.attempt, info.exit_code) == (RunState.FAILED, 3, 3)
    assert starts.read_text() == "start\n" * 3


async def test_a_run_is_cancelled_between_its_attempts(road: Road, tmp_path: Path) -> None:
    """A run that waits for its next attempt is cancelled at once, and is not started again."""
    queue, starts, go = await road.queue("process"), tmp_path / "starts", tmp_path / "go"
    road.agent("-q", queue)
    waits = f'echo start >> "$1"; while [ ! -e {go} ]; do sleep 0.1; done; [ "$(wc -l < "$1")" -gt 1 ]'
    run = await road.submit(road.job(waits), queue, args=[str(starts)], retries=5)
    await road.until_true(starts.exists)
    await pause_queue(queue)
    go.touch()
    await road.until(run, lambda info: info.state is RunState.SCHEDULED)
    assert await cancel_run(run) is RunState.CANCELLED
    await pause_queue(queue, paused=False)
    assert (await road.end(await road.submit(road.job("true"), queue))).state is RunState.COMPLETED
    assert starts.read_text() == "start\n"
