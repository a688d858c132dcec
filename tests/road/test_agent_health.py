"""`launch agent --health-port --log-json` against a real server that comes to a stop."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest
from walking import Road

from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_an_agent_tells_its_health_and_counts_its_runs(road: Road) -> None:
    """Well while it polls; claims are timed; a queue that is deleted under it makes it ill; its log is JSON."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue, "--health-port", "0", "--log-json")
    await road.until_true(lambda: "Health and metrics" in agent.log.read_text())
    found = re.search(r"http://\S+", agent.log.read_text())
    assert found
    url = found[0]
    run = await road.submit(road.job("true"), queue)
    assert (await road.end(run)).state is RunState.COMPLETED
    assert _get(f"{url}/healthz") == (200, "ok\n")
    metrics = _get(f"{url}/metrics")[1]
    assert f'launch_agent_claim_latency_seconds_count{{queue="{queue}"}} 1.0' in metrics
    assert 'launch_agent_build_seconds_count{kind="process"} 1.0' in metrics
    assert f'launch_agent_queued_runs{{queue="{queue}"}} 0.0' in metrics
    lines = [line for line in agent.log.read_text().splitlines() if line.startswith("{")]
    assert lines and all(json.loads(line)["message"] for line in lines)
