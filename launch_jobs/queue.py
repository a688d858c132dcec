"""Launch queues: create, list, pause, delete; and the deployments through which runs enter them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterWorkQueueName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
    WorkPoolFilterType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Cancelled
from pydantic import Field

from launch_jobs.client import connect
from launch_jobs.errors import BadInput, NotFound, Refused
from launch_jobs.job import Frozen, JobVersion, JsonObject
from launch_jobs.names import check_name
from launch_jobs.targets.configuration import CONFIGURATIONS, ProcessConfiguration
from launch_jobs.targets.template import base_job_template, check_template

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool

PRIORITIES = ("critical", "high", "medium", "low")
"""The work queues inside every launch queue, first served first."""

DEFAULT_PRIORITY = "medium"
FLOW_NAME = "launch-job"
FLOW_ENTRYPOINT = "flows.launch_job.launch_job"
_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_TYPE_PREFIX = "launch-"
_ONE_OF_TYPES = f"Choose one of {', '.join(CONFIGURATIONS)}"


class QueueInfo(Frozen):
    """A launch queue as `launch queue show` tells it."""

    name: str
    type: str = Field(description="docker or process.")
    paused: bool
    status: str = Field(description="Prefect's: ready (an agent polls it), not_ready, paused.")
    limit: int | None = Field(default=None, description="Most runs at once, over all agents.")
    description: str = ""
    priorities: tuple[str, ...] = PRIORITIES
    template: JsonObject = Field(default_factory=dict, description="The base job template.")


def configuration_type(queue_type: str) -> type[ProcessConfiguration]:
    """What a queue of this type (`docker`, `process`) can be told.

    Raises:
        BadInput: there is no such queue type.
    """
    if queue_type not in CONFIGURATIONS:
        raise BadInput(f"{queue_type!r} is no queue type", do=_ONE_OF_TYPES)
    return CONFIGURATIONS[queue_type]


def _info(pool: WorkPool) -> QueueInfo:
    return QueueInfo(
        name=pool.name,
        type=pool.type.removeprefix(_TYPE_PREFIX),
        paused=pool.is_paused,
        status=pool.status.value.lower() if pool.status else "unknown",
        limit=pool.concurrency_limit,
        description=pool.description or "",
        template=pool.base_job_template,
    )


async def create_queue(
    name: str,
    queue_type: str,
    *,
    template: JsonObject | None = None,
    limit: int | None = None,
    description: str = "",
) -> QueueInfo:
    """Create a launch queue with its priorities and its generic deployment.

    Raises:
        BadInput: the name or type is wrong, or a queue of that name is there already.
    """
    check_name("queue", name)
    model = configuration_type(queue_type)
    template = template or base_job_template(model)
    check_template(template, model)
    create = WorkPoolCreate(
        name=name,
        type=model.work_pool_type,
        base_job_template=template,
        concurrency_limit=limit,
        description=description,
    )
    async with connect() as client:
        try:
            pool = await client.create_work_pool(create)
        except ObjectAlreadyExists as error:
            raise BadInput(
                f"There is a queue {name!r} already", do=f"See it with `launch queue show {name}`"
            ) from error
        await complete_queue(client, pool)
        return _info(pool)


async def complete_queue(client: PrefectClient, pool: WorkPool) -> None:
    """Give a work pool what makes it a launch queue: priorities and the generic deployment. Idempotent."""
    present = {queue.name for queue in await client.read_work_queues(work_pool_name=pool.name)}
    for rank, priority in enumerate(PRIORITIES, start=1):
        if priority not in present:
            await client.create_work_queue(name=priority, work_pool_name=pool.name, priority=rank)
    await _deploy(client, f"queue.{pool.name}", pool.name)


async def register_job(client: PrefectClient, version: JobVersion, queue: str, parameters: JsonObject) -> UUID:
    """Give a job its own deployment, with its own parameter form, on its default queue; what is there is replaced.

    Args:
        client: an open Prefect client.
        version: the job version whose digest becomes the deployment's default.
        queue: the job's default queue.
        parameters: default values of the form.
    """
    return await _deploy(client, f"job.{version.name}", queue, version=version, parameters=parameters)


async def deployment_for(client: PrefectClient, version: JobVersion, queue: str, parameters: JsonObject) -> UUID:
    """The deployment through which a run of this version enters this queue.

    The job's own, if it is on this queue: made at the first submit, and moved on to a newer version. Else the queue's.
    """
    try:
        own = await client.read_deployment_by_name(f"{FLOW_NAME}/job.{version.name}")
    except ObjectNotFound:
        return await register_job(client, version, queue, parameters)
    if own.work_pool_name == queue:
        if own.version == version.label:
            return own.id
        if _number(own.version) < version.version:
            return await register_job(client, version, queue, parameters)
    return (await client.read_deployment_by_name(f"{FLOW_NAME}/queue.{queue}")).id


def _number(label: str | None) -> int:
    """The version number in a deployment's version, e.g. 3 in `train:v3`; -1 if it is not ours."""
    number = (label or "").rpartition(":v")[2]
    return int(number) if number.isdecimal() else -1


async def _deploy(
    client: PrefectClient,
    name: str,
    queue: str,
    *,
    version: JobVersion | None = None,
    parameters: JsonObject | None = None,
) -> UUID:
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
        tags=[f"job:{version.name}"] if version else [f"queue:{queue}"],
    )


def launch_schema(version: JobVersion | None = None) -> JsonObject:
    """The parameter form of the launch flow: any job's, or one job's with its own hyperparameters. Pure."""
    parameters: JsonObject = {"type": "object"}
    if version is not None:
        parameters = dict(version.job.inputs.parameters_schema)
        # A run takes the job's captured values for what is not given; so nothing is required in the form.
        parameters.pop("required", None)
    strings: JsonObject = {"type": "array", "items": {"type": "string"}}
    properties: JsonObject = {
        "job": {"type": "string", "title": "Job", "position": 0, "description": "name, name:v3 or name@sha256:…"},
        "parameters": {**parameters, "title": "Parameters", "position": 1},
        "args": {**strings, "title": "Arguments", "position": 2, "description": "Appended to the command."},
        "env": {
            "type": "object",
            "title": "Environment",
            "position": 3,
            "additionalProperties": {"type": "string"},
        },
        "entrypoint": {**strings, "title": "Entrypoint", "position": 4, "description": "Replaces the job's command."},
        "timeout": {
            "type": "number",
            "title": "Timeout",
            "position": 5,
            "exclusiveMinimum": 0,
            "description": "Maximum runtime in seconds.",
        },
    }
    return {"type": "object", "title": "Parameters", "properties": properties, "required": ["job"]}


async def read_queue(client: PrefectClient, name: str) -> WorkPool:
    """The work pool of a launch queue.

    Raises:
        NotFound: there is none of that name; the message lists those there are.
        BadInput: the work pool is not one of our types.
    """
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound as error:
        known = ", ".join(queue.name for queue in await _launch_pools(client)) or "none yet"
        raise NotFound(
            f"There is no queue {name!r} (queues: {known})", do="Make it with `launch queue create`"
        ) from error
    if not pool.type.startswith(_TYPE_PREFIX):
        raise BadInput(f"{name!r} is a work pool of type {pool.type!r}, not a launch queue", do="Name a launch queue")
    return pool


async def _launch_pools(client: PrefectClient) -> list[WorkPool]:
    types = [model.work_pool_type for model in CONFIGURATIONS.values()]
    pools = await client.read_work_pools(
        work_pool_filter=WorkPoolFilter(type=WorkPoolFilterType(any_=types)), limit=200
    )
    return sorted(pools, key=lambda pool: pool.name)


async def list_queues() -> list[QueueInfo]:
    """All launch queues by name."""
    async with connect() as client:
        return [_info(pool) for pool in await _launch_pools(client)]


async def show_queue(name: str) -> QueueInfo:
    """One launch queue.

    Raises:
        NotFound: there is none of that name.
    """
    async with connect() as client:
        return _info(await read_queue(client, name))


async def pause_queue(name: str, *, paused: bool = True) -> QueueInfo:
    """Pause or resume a queue: a paused one takes submits and starts nothing.

    Raises:
        NotFound: there is none of that name.
    """
    async with connect() as client:
        await read_queue(client, name)
        await client.update_work_pool(name, WorkPoolUpdate(is_paused=paused))
        return _info(await read_queue(client, name))


async def delete_queue(name: str) -> None:
    """Delete a queue with its deployments; its waiting runs are cancelled, and runs that are over keep their records.

    Raises:
        NotFound: there is none of that name.
        Refused: runs of it are active.
    """
    async with connect() as client:
        await read_queue(client, name)
        if await _runs_in(client, name, _ACTIVE):
            raise Refused(f"Runs of the queue {name!r} are active", do="Cancel them, or wait until they are over")
        while waiting := await _runs_in(client, name, (StateType.SCHEDULED,)):
            for run in waiting:
                await client.set_flow_run_state(run.id, Cancelled(message=f"Its queue {name} was deleted"), force=True)
        here = DeploymentFilter(work_queue_name=DeploymentFilterWorkQueueName(any_=list(PRIORITIES)))
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[name]))
        for deployment in await client.read_deployments(deployment_filter=here, work_pool_filter=pool):
            await client.delete_deployment(deployment.id)
        await client.delete_work_pool(name)


async def _runs_in(client: PrefectClient, queue: str, types: tuple[StateType, ...]) -> list[FlowRun]:
    return await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[queue])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))),
        limit=200,
    )
