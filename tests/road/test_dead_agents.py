"""Runs that dead agents left, as the next agent finds them: put back, ended, parked or left, by the decision table."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed, Pending, Running
from walking import Road

from launch_jobs import crashpoints
from launch_jobs.client import connect
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run, retry_run
from launch_jobs.workers.conductor import DEATHS_LABEL
from launch_jobs.workers.ownership import Ownership

pytestmark = pytest.mark.anyio


async def _claimed_by_the_dead(run: str, identity: str, deaths: int = 0) -> None:
    """As an agent leaves it that is killed right after its claim."""
    async with connect() as client:
        if deaths:
            await client.update_flow_run_labels(UUID(run), {DEATHS_LABEL: deaths})
        await client.set_flow_run_state(UUID(run), Pending(message=f"Claimed by agent gone [{identity}]"))


async def _states(run: str) -> list[State[object]]:
    async with connect() as client:
        return await client.read_flow_run_states(UUID(run))


async def test_claims_of_the_dead(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing started: back to its old place, as attempt 1; also from another home; after three deaths it is parked."""
    monkeypatch.setenv("LAUNCH_JOBS_ADOPT_GRACE_S", "0")
    queue, starts = await road.queue("process"), tmp_path / "starts"
    job = road.job('echo "$1" >> "$2"')
    own, other, poison = [
        await road.submit(job, queue, args=[name, str(starts)]) for name in ("own", "other", "poison")
    ]
    identity = Ownership(road.home).identity
    await _claimed_by_the_dead(own, identity)
    await _claimed_by_the_dead(other, "another-home")
    await _claimed_by_the_dead(poison, identity, deaths=2)
    road.agent("-q", queue)
    for run in (own, other):
        info = await road.end(run)
        assert (info.state, info.attempt) == (RunState.COMPLETED, 1)
        waits = [state for state in await _states(run) if state.is_scheduled() and state.name != "Late"]
        times = [state.state_details.scheduled_time for state in waits]  # the server calls late what waits for long
        assert len(times) == 2
        assert len(set(times)) == 1
    parked = await road.end(poison)
    assert (parked.state, parked.state_name) == (RunState.CRASHED, "Parked")
    assert f"launch retry {poison}" in (parked.reason or "")
    await retry_run(poison)
    assert (await road.end(poison)).state is RunState.COMPLETED
    assert sorted(starts.read_text().split()) == ["other", "own", "poison"]


async def test_what_arrives_after_an_end_changes_nothing(road: Road, tmp_path: Path) -> None:
    """Set running by a request that was long on its way, a run is over again, and is not started; retried it is."""
    queue, starts = await road.queue("process"), tmp_path / "starts"
    run = await road.submit(road.job(f"echo $$ >> {starts}"), queue)
    await _claimed_by_the_dead(run, Ownership(road.home).identity)
    async with connect() as client:
        for state in (Running(), Failed(message="the end"), Running(message="too late")):
            await client.set_flow_run_state(UUID(run), state)
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.reason, starts.exists()) == (RunState.FAILED, "the end", False)
    await retry_run(run)
    await road.until_true(starts.exists)
    assert (await road.end(run)).state is RunState.COMPLETED


async def test_a_cancel_that_comes_after_the_end_leaves_the_end(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome is in the store and not told yet: so it is told, and not that the run was cancelled."""
    queue = await road.queue("process")
    monkeypatch.setenv(crashpoints.VARIABLE, "outcome.after")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job("exit 3"), queue)
    await road.until_true(lambda: agent.process.poll() is not None)
    monkeypatch.delenv(crashpoints.VARIABLE)
    assert await cancel_run(run) is RunState.CANCELLING
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.exit_code) == (RunState.FAILED, 3)


async def test_an_attempt_that_is_gone_is_not_started_again(road: Road, tmp_path: Path) -> None:
    """Its agent and its folder are gone: it ends as lost infrastructure, and the user's code has run once."""
    queue, starts = await road.queue("process"), tmp_path / "starts"
    agent = road.agent("-q", queue)
    run = await road.submit(road.job(f"echo $$ >> {starts}; exec sleep 300"), queue)
    info = await road.until(run, lambda info: info.place and starts.exists() and starts.read_text().endswith("\n"))
    agent.stop(signal.SIGKILL)
    program = psutil.Process(int(starts.read_text()))
    for process in (*program.parents()[:1], program):
        process.kill()
    shutil.rmtree(Path((info.place or "").split("/", 3)[3]))
    road.agent("-q", queue)
    info = await road.end(run)
    assert (info.state, info.attempt) == (RunState.CRASHED, 1)
    assert "vanished" in (info.reason or "")
    assert len(starts.read_text().split()) == 1
