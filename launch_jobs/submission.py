"""Submit a job to a launch queue: resolve it to its digest, check everything, create one flow run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from coolname import generate_slug  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - has no types
from pydantic import Field, JsonValue

from launch_jobs.arguments import complete_parameters
from launch_jobs.capture.secret_given import check_given
from launch_jobs.client import at_once, connect, create_run, despite_load
from launch_jobs.config_files.rendering import ChangedFile, changed_files
from launch_jobs.datasets import find_datasets
from launch_jobs.deployments import deployment_for, own_deployment
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import Frozen, Inputs, JobVersion, JsonObject, Overrides
from launch_jobs.names import JobRef
from launch_jobs.parameter_text import parse_parameter_text
from launch_jobs.queue import PRIORITIES, configuration_type, list_queues, read_queue
from launch_jobs.targets.env import check_env
from launch_jobs.targets.template import merge_variables, render_configuration

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

    from launch_jobs.store.jobs import JobStore


class Submission(Frozen):
    """What is asked for: a job, where it shall run, and how it differs from its capture."""

    job: str = Field(description="name, name:v3, name:alias or name@sha256:…")
    queue: str | None = Field(default=None, description="None: the job's default queue.")
    overrides: Overrides = Overrides()
    parameter_texts: dict[str, str] = Field(default_factory=dict, description="Values as typed (`-p name=text`).")
    variables: JsonObject = Field(default_factory=dict, description="Job variables, as the queue's template declares.")
    priority: str | None = Field(default=None, description="critical, high, medium or low.")
    name: str | None = Field(default=None, description="The run's name; default `<job>-<version>-<two words>`.")
    key: str | None = Field(default=None, description="Idempotency key: the same key is the same run.")
    parent: str | None = Field(
        default=None, description="Task run that stands for this run in the graph of the flow that asks for it."
    )


class Request(Frozen):
    """A checked submission: exactly what the server will be sent."""

    queue: str
    job: str = Field(description="`name@sha256:…`")
    job_label: str
    body: JsonObject = Field(description="Body of the create-flow-run call.")
    files: tuple[ChangedFile, ...] = Field(default=(), description="Config files that the run gets its own copy of.")


async def submit(submission: Submission, store: JobStore) -> FlowRun:
    """Put a run on its queue and return it; a repeated key returns the run that is there.

    Raises:
        NotFound: no such job or queue.
        BadInput: an unknown, ill-typed or out-of-range parameter or variable.
        Refused: a value that Prefect would resolve as a template, or keep although it is a secret.
        Unavailable: the server does not answer; nothing was enqueued, or the same key finds it.
    """
    keyed = submission.model_copy(update={"key": submission.key or str(uuid4())})

    async def once() -> FlowRun:
        async with connect() as client:
            ground = await find_ground(client, keyed, store)
            request = await check(ground, keyed, store)
            return await create_run(client, await ground.deployment(client), request.body)

    return await despite_load(once)


async def prepare(submission: Submission, store: JobStore) -> Request:
    """Check a submission and say what would be sent, sending nothing (`--dry-run`).

    Raises:
        as `submit`.
    """
    async with connect() as client:
        return await check(await find_ground(client, submission, store), submission, store)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a submission stands on, the same for all of its job and queue.

    Attributes:
        version: of the job.
        captured: parameters of its latest tracked run.
        queue: the launch queue.
    """

    version: JobVersion
    captured: JsonObject
    queue: WorkPool

    async def deployment(self, client: PrefectClient) -> DeploymentResponse:
        """The deployment through which its runs enter the queue."""
        return await deployment_for(client, self.version, self.queue.name, form_defaults(self.version, self.captured))


async def find_ground(client: PrefectClient, submission: Submission, store: JobStore) -> Ground:
    """Look a submission's job and queue up.

    Raises:
        NotFound: no such job or queue.
        BadInput: the job has no default queue, and none is named.
    """
    version = await asyncio.to_thread(store.resolve, JobRef.parse(submission.job))
    captured = await asyncio.to_thread(captured_parameters, version, store)
    return Ground(version, captured, await _queue_of(client, submission, version))


async def check(ground: Ground, submission: Submission, store: JobStore) -> Request:
    """What the server would be sent for a submission.

    Raises:
        as `submit`.
    """
    version, queue = ground.version, ground.queue
    overrides = resolve_parameters(version.job.inputs, submission, ground.captured)
    await asyncio.to_thread(find_datasets, store, overrides.datasets, version)
    check_on_queue(queue.type, cast("JsonObject", queue.base_job_template), submission.variables, overrides)
    body = render_body(submission, version, overrides, queue.name)
    files = changed_files(version.job.inputs, overrides.parameters)
    return Request(queue=queue.name, job=version.reference, job_label=version.label, body=body, files=files)


async def _queue_of(client: PrefectClient, submission: Submission, version: JobVersion) -> WorkPool:
    if queue := submission.queue:
        return await at_once(client, f"queue {queue}", lambda: read_queue(client, queue))
    deployment = await own_deployment(client, version.name)
    if deployment is None:
        queues = [queue.name for queue in await list_queues()]
        if len(queues) == 1:
            return await read_queue(client, queues[0])
        known = ", ".join(queues) or "none yet"
        raise BadInput(f"{version.name!r} has no default queue", do=f"Name one with -q (queues: {known})")
    return await read_queue(client, deployment.work_pool_name or "")


def resolve_parameters(inputs: Inputs, submission: Submission, captured: JsonObject) -> Overrides:
    """The run's full parameters: captured values, changed by those given. Pure.

    Raises:
        BadInput: an unknown, ill-typed or out-of-range parameter; an empty or wrong override.
        Refused: a value holds `__prefect_kind`, which the server would resolve, or a secret, which it would keep.
    """
    given = dict(submission.overrides.parameters)
    for name, text in submission.parameter_texts.items():
        given[name] = parse_parameter_text(inputs, name, text)
    _refuse_templates("parameter", given)
    check_given(submission.overrides, given)
    parameters = complete_parameters(inputs, captured, given)
    return submission.overrides.model_copy(update={"parameters": parameters})


def check_on_queue(queue_type: str, template: JsonObject, variables: JsonObject, overrides: Overrides) -> None:
    """Check job variables and environment as the agent will again, with what is known here: the queue's template. Pure.

    Raises:
        BadInput: a variable is unknown, ill-typed or out of its bounds; the template is malformed.
        Refused: a macro, a reserved name, or a template that wants what no queue may give.
    """
    model = configuration_type(queue_type.removeprefix("launch-"))
    configuration = render_configuration(template, merge_variables(template, variables), model)
    check_env({**configuration.env, **overrides.env}, gpus=configuration.gpus)


def captured_parameters(version: JobVersion, store: JobStore) -> JsonObject:
    """The values of the latest tracked run of this version; none for a job that was made without one."""
    records = store.records(version)
    return records[-1].parameters if records else {}


def form_defaults(version: JobVersion, captured: JsonObject, texts: dict[str, str] | None = None) -> JsonObject:
    """What a job's own form begins with: captured values, with others as typed. Pure.

    One that is required may be missing: the form asks for it.

    Raises:
        BadInput: an unknown or ill-typed parameter.
    """
    schema = {name: value for name, value in version.job.inputs.parameters_schema.items() if name != "required"}
    inputs = version.job.inputs.model_copy(update={"parameters_schema": schema})
    given = Submission(job=version.reference, parameter_texts=texts or {})
    return resolve_parameters(inputs, given, captured).parameters


def render_body(submission: Submission, version: JobVersion, overrides: Overrides, queue: str) -> JsonObject:
    """The body that creates the flow run. Pure but for the random words of the name and the random key.

    Raises:
        BadInput: the priority is unknown.
        Refused: a variable holds `__prefect_kind`.
    """
    if submission.priority is not None and submission.priority not in PRIORITIES:
        raise BadInput(f"{submission.priority!r} is no priority", do=f"Choose one of {', '.join(PRIORITIES)}")
    _refuse_templates("variable", submission.variables)
    parameters = cast("JsonObject", overrides.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
    _refuse_templates("value of", parameters)
    if "timeout_s" in parameters:
        parameters["timeout"] = parameters.pop("timeout_s")
    words = str(generate_slug(2))  # pyright: ignore[reportUnknownArgumentType] - no types
    body: JsonObject = {
        "name": submission.name or f"{version.name}-v{version.version}-{words}",
        "parameters": {"parameters": {}, **parameters, "job": version.reference},
        "job_variables": submission.variables,
        "tags": [f"job:{version.name}", f"version:v{version.version}", f"queue:{queue}"],
        "labels": {"launch.job": version.reference, "launch.job-label": version.label},
        "idempotency_key": submission.key or str(uuid4()),
    }
    if submission.parent:
        body["parent_task_run_id"] = submission.parent
    if submission.priority:
        body["work_queue_name"] = submission.priority
    return body


def _refuse_templates(kind: str, values: JsonObject) -> None:
    for name, value in values.items():
        if _holds_template(value):
            raise Refused(f"The {kind} {name!r} holds `__prefect_kind`", do="Send the plain value; nothing is resolved")


def _holds_template(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return "__prefect_kind" in value or any(_holds_template(item) for item in value.values())
    return isinstance(value, list) and any(_holds_template(item) for item in value)
