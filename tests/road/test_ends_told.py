"""What is told of runs that did not end well: kind, hint, proof of a stop; by the command and in the UI."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from commands import typed
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from walking import Road

from launch_jobs.client import connect
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run

pytestmark = pytest.mark.anyio

HUNGRY = "trap 'exit 9' TERM; echo begun; while :; do sleep 0.1; done"
BROKEN = "echo 'RuntimeError: CUDA out of memory. Tried to allocate'; kill -9 $$"


async def _artifacts(run: str) -> str:
    async with connect() as client:
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
        found = await client.read_artifacts(artifact_filter=mine)
    return "\n".join(str(one.data) for one in found if "ended" in str(one.description))


async def test_a_cancelled_run_has_a_receipt(road: Road) -> None:
    """When it was asked for, when the signal was sent, when nothing ran any more, and the program's own exit code."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(HUNGRY), queue)
    await road.until(run, lambda info: info.state is RunState.RUNNING and info.place)
    before = datetime.now().astimezone()
    await cancel_run(run)
    info = await road.end(run)
    assert (info.state, info.exit_code) == (RunState.CANCELLED, 9)
    assert info.stopped and info.stopped.asked and info.stopped.signalled and info.stopped.killed is None
    moments = [datetime.fromisoformat(one) for one in (info.stopped.asked, info.stopped.signalled, info.stopped.gone)]
    assert [before, *moments] == sorted([before, *moments])
    said = (await typed(road, "show", run)).out
    assert "SIGTERM" in said and "gone" in said
    assert "verified that nothing of it runs" in await _artifacts(run)


async def test_a_failed_run_says_what_kind_and_what_to_do(road: Road) -> None:
    """With its signal, its memory and its last lines."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(BROKEN), queue)
    info = await road.end(run)
    assert (info.state, info.failure, info.signal) == (RunState.FAILED, "out of GPU memory", 9)
    assert info.peak_memory_bytes and info.peak_memory_bytes > 100_000
    said = (await typed(road, "show", run)).out
    assert "out of GPU memory" in said and "SIGKILL (9)" in said
    text = await _artifacts(run)
    assert "# Attempt 1: out of GPU memory" in text
    assert "Tried to allocate" in text
