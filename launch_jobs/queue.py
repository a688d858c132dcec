"""Launch queues: create, list, pause, drain, delete."""

from __future__ import annotations

import asyncio
import math
import time
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

from launch_jobs.client import connect
from launch_jobs.deployments import deploy
from launch_jobs.errors import BadInput, NotFound, Refused, Unavailable
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.names import check_name
from launch_jobs.targets.configuration import ProcessConfiguration
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.template import base_job_template, check_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool

PRIORITIES = ("critical", "high", "medium", "low")
"""The work queues inside every launch queue, first served first."""

_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_PAGE = 200
_LOOK_S = 1.0
_QUIET_LOOKS = 3
"""An agent acts for a second on what it polled before the queue was paused."""

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
    await deploy(client, f"queue.{pool.name}", pool.name)


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


async def drain_queue(name: str, say: Callable[[list[str]], None], *, timeout: float | None = None) -> QueueInfo:
    """Pause a queue, and wait until none of its runs is active; it stays paused.

    Args:
        name: of the queue.
        say: told the names of active runs, whenever they are others.
        timeout: seconds; None waits for ever.

    Raises:
        NotFound: there is none of that name.
        Unavailable: some are active when the time is over.
    """
    await pause_queue(name)
    until = math.inf if timeout is None else time.monotonic() + timeout
    active: list[str] = []
    quiet = 0
    async with connect() as client:
        while quiet < _QUIET_LOOKS:
            before, active = active, sorted(run.name for run in await _runs_in(client, name, _ACTIVE))
            if active and active != before:
                say(active)
            if active and time.monotonic() > until:
                raise _not_drained(name, active)
            quiet = 0 if active else quiet + 1
            await asyncio.sleep(_LOOK_S)
    return await show_queue(name)


def _not_drained(name: str, active: list[str]) -> Unavailable:
    told = f"Runs of the queue {name!r} are active still ({len(active)}): {', '.join(active[:3])}"
    more = f"`launch queue drain {name}` waits on, and `launch queue resume {name}` undoes it"
    return Unavailable(told + (" …" if len(active) > 3 else ""), do=f"It is paused; {more}")


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
        while waiting := await _runs_in(client, name, (StateType.SCHEDULED, StateType.PAUSED)):
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
