"""What an operator's AgentHost block does to a real agent."""

from __future__ import annotations

import uuid

import pytest
from walking import Road

import blocks
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio


async def test_an_agent_starts_no_more_runs_than_its_block_says(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine only names the block; two runs of a queue without a limit then go one after the other."""
    name = f"host-{uuid.uuid4().hex[:8]}"
    await blocks.AgentHost(max_jobs=1).asave(name)
    monkeypatch.setenv("LAUNCH_JOBS_AGENT_HOST", name)
    queue, done = await road.queue("process"), road.home / "done"
    held = road.job(f"while [ ! -e {done} ]; do sleep 0.1; done")
    first, second = await road.submit(held, queue), await road.submit(held, queue)
    road.agent("-q", queue)
    await road.until(first, lambda info: info.state is RunState.RUNNING)
    assert (await road.until(second, lambda _: True)).state is RunState.SCHEDULED
    done.touch()
    assert [(await road.end(run)).state for run in (first, second)] == [RunState.COMPLETED] * 2


async def test_an_agent_whose_block_is_missing_says_so(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not start with half of its settings."""
    monkeypatch.setenv("LAUNCH_JOBS_AGENT_HOST", "nope")
    agent = road.agent("-q", await road.queue("process"))
    await road.until_true(lambda: agent.process.poll() is not None)
    assert agent.process.returncode == 2
    assert "no launch-agent-host block 'nope'" in agent.log.read_text()
