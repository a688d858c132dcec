"""The stock prefect-docker worker that ours is compared with: its pool, its deployment, its command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.actions import WorkPoolCreate
from prefect_docker.worker import DockerWorker

from benchmarks.stage import STOCK_IMAGE

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient


def stock_worker(pool: str) -> list[str]:
    """The command of a stock worker of a docker pool."""
    prefect = str(Path(sys.executable).parent / "prefect")
    return [prefect, "worker", "start", "--pool", pool, "--type", "docker"]


async def stock_deployment(client: PrefectClient, pool: str, flow: str, **variables: Any) -> UUID:
    """Make a docker pool, and a deployment of a flow of the stock image (`image/<flow>_flow.py`) on it.

    Args:
        client: an open one.
        pool: its name.
        flow: name of the flow and its function.
        variables: job variables on top of those that let the flow reach a server on loopback.
    """
    template = DockerWorker.get_default_base_job_template()
    await client.create_work_pool(WorkPoolCreate(name=pool, type="docker", base_job_template=template))
    return await client.create_deployment(
        flow_id=await client.create_flow_from_name(flow),
        name=pool,
        work_pool_name=pool,
        entrypoint=f"{flow}_flow.py:{flow}",
        path="/opt/bench",
        enforce_parameter_schema=False,
        job_variables={
            "image": STOCK_IMAGE,
            "image_pull_policy": "Never",
            "network_mode": "host",
            "auto_remove": True,
            **variables,
        },
    )
