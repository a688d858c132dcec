"""The stock Prefect workers that ours is compared with: their pools, their deployments, their command."""

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
    from prefect.workers.base import BaseWorker

_REACHES_LOOPBACK = {"image_pull_policy": "Never", "network_mode": "host", "auto_remove": True}


def stock_worker(pool: str, kind: str = "docker") -> list[str]:
    """The command of a stock worker of a pool."""
    prefect = str(Path(sys.executable).parent / "prefect")
    return [prefect, "worker", "start", "--pool", pool, "--type", kind]


async def stock_deployment(client: PrefectClient, pool: str, flow: str, **variables: Any) -> UUID:
    """Make a docker pool, and a deployment on it; its flow reaches a server on loopback.

    Args:
        client: an open one.
        pool: its name.
        flow: as `deployment_on` has it.
        variables: further job variables.
    """
    return await deployment_on(client, (DockerWorker, pool), flow, **{**_REACHES_LOOPBACK, **variables})


async def deployment_on(
    client: PrefectClient, pool: tuple[type[BaseWorker[Any, Any, Any]], str], flow: str, **variables: Any
) -> UUID:
    """Make a pool, and a deployment of a flow of the stock image (`image/<flow>_flow.py`) on it.

    Args:
        client: an open one.
        pool: the workers that it is for, and its name.
        flow: name of the flow and its function.
        variables: job variables.
    """
    worker, name = pool
    template = worker.get_default_base_job_template()
    await client.create_work_pool(WorkPoolCreate(name=name, type=worker.type, base_job_template=template))
    return await client.create_deployment(
        flow_id=await client.create_flow_from_name(flow),
        name=name,
        work_pool_name=name,
        entrypoint=f"{flow}_flow.py:{flow}",
        path="/opt/bench",
        enforce_parameter_schema=False,
        job_variables={"image": STOCK_IMAGE, **variables},
    )
