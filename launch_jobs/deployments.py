"""The deployments through which runs enter launch queues: one a queue for any job, one for each registered job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.exceptions import ObjectNotFound

from launch_jobs.client import at_once
from launch_jobs.form import launch_schema
from launch_jobs.job import JobVersion, JsonObject

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

DEFAULT_PRIORITY = "medium"
FLOW_NAME = "launch-job"
FLOW_ENTRYPOINT = "flows.launch_job.launch_job"


async def register_job(client: PrefectClient, version: JobVersion, queue: str, parameters: JsonObject) -> UUID:
    """Give a job its own deployment, with its own parameter form, on its default queue; what is there is replaced.

    Args:
        client: an open Prefect client.
        version: the job version whose digest becomes the deployment's default.
        queue: the job's default queue.
        parameters: default values of the form.
    """
    return await deploy(client, f"job.{version.name}", queue, version=version, parameters=parameters)


async def deployment_for(
    client: PrefectClient, version: JobVersion, queue: str, parameters: JsonObject
) -> DeploymentResponse:
    """The deployment through which a run of this version enters this queue.

    The job's own, if it is on this queue: made at the first submit, and moved on to a newer version. Else the queue's.
    """
    own = await own_deployment(client, version.name)
    if own is None or (own.work_pool_name == queue and _number(own.version) < version.version):
        return await client.read_deployment(await register_job(client, version, queue, parameters))
    if own.work_pool_name == queue and own.version == version.label:
        return own
    return await client.read_deployment_by_name(f"{FLOW_NAME}/queue.{queue}")


async def own_deployment(client: PrefectClient, job: str) -> DeploymentResponse | None:
    """The deployment of a registered job; None for one that is not registered."""
    name = f"{FLOW_NAME}/job.{job}"
    try:
        return await at_once(client, name, lambda: client.read_deployment_by_name(name))
    except ObjectNotFound:
        return None


def _number(label: str | None) -> int:
    """The version number in a deployment's version, e.g. 3 in `train:v3`; -1 if it is not ours."""
    number = (label or "").rpartition(":v")[2]
    return int(number) if number.isdecimal() else -1


async def deploy(
    client: PrefectClient,
    name: str,
    queue: str,
    *,
    version: JobVersion | None = None,
    parameters: JsonObject | None = None,
) -> UUID:
    """Make a deployment of the launch flow on a queue, of one job version or of any; what is there is replaced."""
    flow_id = await client.create_flow_from_name(FLOW_NAME)
    return await client.create_deployment(
        flow_id=flow_id,
        name=name,
        work_pool_name=queue,
        work_queue_name=DEFAULT_PRIORITY,
        entrypoint=FLOW_ENTRYPOINT,
        parameters={"job": version.reference, "parameters": parameters or {}} if version else {},
        parameter_openapi_schema=launch_schema(version),
        enforce_parameter_schema=True,
        version=version.label if version else None,
        description=f"Launches {version.label}" if version else f"Launches any job on the queue {queue}",
        # Runs inherit them.
        tags=run_tags(version, queue) if version else [f"queue:{queue}"],
    )


def run_tags(version: JobVersion, queue: str) -> list[str]:
    """The tags of a job's runs on a queue; none is told of a run outside queues."""
    return [f"job:{version.name}", f"version:v{version.version}", *([f"queue:{queue}"] if queue else [])]
