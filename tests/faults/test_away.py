"""A server that is away while an agent tells it what became of a run."""

from __future__ import annotations

import pytest
from fault_proxy import Rule, proxy_to
from infrastructure.plugin import Connection
from prefect import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Pending

from launch_jobs.workers.prefect_internals import FlowClient
from launch_jobs.workers.tenure import Tenure, clock_s

pytestmark = pytest.mark.anyio


def _nothing() -> None:
    """What a flow is made of."""


async def test_an_end_is_told_until_the_server_answers(connected: Connection) -> None:
    """Its absence is not made a failure of the run; what it did, and could not say, is not done again."""
    async with proxy_to(f"127.0.0.1:{connected.port}") as proxy:
        with temporary_settings({PREFECT_API_URL: f"http://{proxy.address}/api"}):
            async with FlowClient() as client:
                run = await client.create_flow_run(Flow(_nothing, name="away"), state=Pending())
                client.tenures[run.id] = tenure = Tenure("us", clock_s() - 60)
                proxy.rules, proxy.requests = [Rule("set_state", "status"), Rule("set_state", "drop")], {}
                await client.set_flow_run_state(run.id, Completed())
                states = await client.read_flow_run_states(run.id)
    assert [state.name for state in states] == ["Pending", "Completed"]
    assert tenure.is_lost
    # Each time it is asked first whether the run is still ours; Prefect's client repeats nothing by itself.
    assert proxy.requests == {"status": 1, "drop": 1, "passed": 3}
