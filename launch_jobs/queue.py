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
from pydantic import Field, JsonValue

from launch_jobs.client import at_once, connect
from launch_jobs.errors import BadInput, NotFound, Refused
from launch_jobs.form import launch_schema
from launch_jobs.job import Frozen, JobVersion, JsonObject
from launch_jobs.names import check_name
from launch_jobs.targets.configuration import ProcessConfiguration
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.template import base_job_template, check_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

PRIORITIES = ("critical", "high", "medium", "low")
"""The work queues inside every launch queue, first served first."""

DEFAULT_PRIORITY = "medium"
FLOW_NAME = "launch-job"
FLOW_ENTRYPOINT = "flows.launch_job.launch_job"
_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_PAGE = 200
_TYPE_PREFIX = "launch-"
_ONE_OF_TYPES = f"Choose one of {', '.join(CONFIGURATIONS)}"


class QueueInfo(Frozen):
    """A launch queue as `launch queue show` tells it."""

    name: str
    type: str = Field(description="docker, kubernetes or process.")
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
        # Runs inherit them.
        tags=run_tags(version, queue) if version else [f"queue:{queue}"],
    )


def run_tags(version: JobVersion, queue: str) -> list[str]:
    """The tags of a job's runs on a queue; none is told of a run outside queues."""
    return [f"job:{version.name}", f"version:v{version.version}", *([f"queue:{queue}"] if queue else [])]


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
    ours = WorkPoolFilter(type=WorkPoolFilterType(any_=[model.work_pool_type for model in CONFIGURATIONS.values()]))
    pools: list[WorkPool] = []
    while page := await client.read_work_pools(work_pool_filter=ours, limit=_PAGE, offset=len(pools)):
        pools += page
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
        while deployments := await client.read_deployments(deployment_filter=here, work_pool_filter=pool):
            for deployment in deployments:
                await client.delete_deployment(deployment.id)
        await client.delete_work_pool(name)


async def _runs_in(client: PrefectClient, queue: str, types: tuple[StateType, ...]) -> list[FlowRun]:
    return await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[queue])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))),
        limit=_PAGE,
    )


class QueueChange(Frozen):
    """One thing that `apply_queue` changed."""

    what: str = Field(description="`limit`, `description`, or a path in the base job template.")
    before: JsonValue = None
    after: JsonValue = None


class AppliedQueue(Frozen):
    """What `apply_queue` did."""

    queue: QueueInfo
    created: bool
    changes: tuple[QueueChange, ...] = ()


async def apply_queue(
    name: str,
    queue_type: str,
    *,
    template: JsonObject | None = None,
    limit: int | None = None,
    description: str = "",
) -> AppliedQueue:
    """Make a launch queue what is asked for: create it, or change what differs; doing so again changes nothing.

    What is not given has its default afterwards. Whether the queue is paused stays; agents take the change up with
    their next look at the server.

    Raises:
        BadInput: a name, type or template is wrong, or there is a queue of that name of another type.
        Refused: the template wants what no queue may give.
    """
    check_name("queue", name)
    model = configuration_type(queue_type)
    template = template or base_job_template(model)
    check_template(template, model)
    async with connect() as client:
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            made = await create_queue(name, queue_type, template=template, limit=limit, description=description)
            return AppliedQueue(queue=made, created=True)
        if pool.type != model.work_pool_type:
            raise BadInput(f"{name!r} is of type {pool.type!r} already", do="Take another name, or delete it first")
        changes = [
            *_differences("limit", pool.concurrency_limit, limit),
            *_differences("description", pool.description or "", description),
            *_differences("", pool.base_job_template, template),
        ]
        if changes:
            update = WorkPoolUpdate(base_job_template=template, concurrency_limit=limit, description=description)
            await client.update_work_pool(name, update)
            await complete_queue(client, pool)
        return AppliedQueue(queue=_info(await read_queue(client, name)), created=False, changes=tuple(changes))


def _differences(path: str, before: JsonValue, after: JsonValue) -> Iterator[QueueChange]:
    """What differs between two JSON values, each at its own path."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(f"{path}.{key}".lstrip("."), before.get(key), after.get(key))
    elif before != after:
        yield QueueChange(what=path, before=before, after=after)
