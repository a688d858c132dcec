"""Jobs and the server: a job's own deployment with its form, and deleting jobs that no run needs any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import Field

from launch_jobs.client import connect
from launch_jobs.deployments import FLOW_NAME, register_job
from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import Frozen, JobVersion, JsonObject
from launch_jobs.names import JobRef, is_version
from launch_jobs.queue import read_queue
from launch_jobs.runs import every_run
from launch_jobs.submission import captured_parameters, form_defaults

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.store.jobs import JobStore

_OPEN = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING)


class Registration(Frozen):
    """A job's own deployment."""

    deployment: str = Field(description="Its full name, for `prefect deployment run`.")
    id: str
    job: str
    job_label: str
    queue: str = Field(description="The job's default queue from now on.")
    parameters: JsonObject = Field(description="Defaults of its form.")


async def register(
    version: JobVersion, queue: str, store: JobStore, *, texts: dict[str, str] | None = None
) -> Registration:
    """Give a job its own deployment with its own parameter form; the queue becomes the job's default.

    Args:
        version: what the deployment launches.
        queue: a launch queue.
        store: has the values of the latest tracked run, which are the form's defaults.
        texts: other defaults, as typed (`-p name=text`).

    Raises:
        NotFound: there is no such queue.
        BadInput: an unknown or ill-typed parameter. One that is required may be missing: the form asks for it.
    """
    parameters = await asyncio.to_thread(_defaults, version, store, texts or {})
    async with connect() as client:
        await read_queue(client, queue)
        made = await register_job(client, version, queue, parameters)
    return Registration(
        deployment=_deployment(version.name),
        id=str(made),
        job=version.reference,
        job_label=version.label,
        queue=queue,
        parameters=parameters,
    )


async def delete_job(store: JobStore, name: str, number: int | None, *, drop_aliases: bool = False) -> list[int]:
    """Delete one version of a job, or the whole job; the numbers of what is gone.

    A Prefect server, if one is known here, is asked which runs need them. The job's deployment there, if it launched a
    deleted version, launches the newest one left; without one it is deleted too.

    Args:
        store: has the job.
        name: the job's.
        number: of a version, which may be damaged; None: all of them, with their aliases.
        drop_aliases: remove the aliases of the version, too.

    Raises:
        Refused: a queued or active run needs one, or an alias means it; nothing was deleted.
        NotFound: there is no such job or version.
        Unavailable: the server does not answer; nothing was deleted.
    """
    numbers = await asyncio.to_thread(store.numbers, name) if number is None else [number]

    def delete() -> None:
        if number is None:
            store.delete_job(name)
        else:
            store.delete_version(name, number, drop_aliases=drop_aliases)

    if not PREFECT_API_URL.value():
        await asyncio.to_thread(delete)
        return numbers
    async with connect() as client:
        await _refuse_needed(client, store, name, numbers)
        await asyncio.to_thread(delete)
        await _follow(client, store, name)
    return numbers


async def _refuse_needed(client: PrefectClient, store: JobStore, name: str, numbers: list[int]) -> None:
    meanings = await asyncio.to_thread(_meanings, store, name, numbers)
    async for run in every_run(client, *_OPEN):
        if _job_of(run) in meanings:
            raise Refused(
                f"Run {run.name!r} ({run.state_name}) needs {name}:{meanings[_job_of(run)]}",
                do=f"Cancel it (launch cancel {run.id}), or wait until it is over",
            )


def _meanings(store: JobStore, name: str, numbers: list[int]) -> dict[str, str]:
    """Every way in which a run can name one of the versions."""
    found: dict[str, str] = {}
    for number in numbers:
        found[f"{name}:v{number}"] = f"v{number}"
        with suppress(LaunchError):  # a damaged version has no digest, and no run can begin with it
            found[store.resolve(JobRef(name, f"v{number}")).reference] = f"v{number}"
    for alias, number in store.aliases(name).items():
        if number in numbers:
            found[f"{name}:{alias}"] = f"v{number}"
    return found


def _job_of(run: FlowRun) -> str:
    """The job a run was submitted with, as `name:…` or `name@…`; of a run from a form, as it was typed there."""
    labels, given = cast("JsonObject", run.labels), cast("JsonObject", run.parameters)
    try:
        return str(JobRef.parse(str(labels.get("launch.job") or given.get("job") or "")))
    except BadInput:
        return ""


async def _follow(client: PrefectClient, store: JobStore, name: str) -> None:
    """Let the job's deployment, if it has one, launch what is left of the job."""
    try:
        own = await client.read_deployment_by_name(_deployment(name))
    except ObjectNotFound:
        return
    numbers = await asyncio.to_thread(store.numbers, name)
    if not numbers:
        await client.delete_deployment(own.id)
        return
    selector = (own.version or "").rpartition(":")[2]
    if not is_version(selector) or int(selector[1:]) not in numbers:
        newest = await asyncio.to_thread(store.resolve, JobRef(name, f"v{numbers[-1]}"))
        defaults = await asyncio.to_thread(_defaults, newest, store, {})
        await register_job(client, newest, own.work_pool_name or "", defaults)


def _defaults(version: JobVersion, store: JobStore, texts: dict[str, str]) -> JsonObject:
    return form_defaults(version, captured_parameters(version, store), texts)


def _deployment(name: str) -> str:
    return f"{FLOW_NAME}/job.{name}"
