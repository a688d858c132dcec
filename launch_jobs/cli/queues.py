"""`launch queue …`: make and manage launch queues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, progress, table
from launch_jobs.cli.params import assignment, duration, plain_value
from launch_jobs.cli.session import server_session, wait
from launch_jobs.errors import BadInput

if TYPE_CHECKING:
    from launch_jobs.cli.queue_file import QueueFile
    from launch_jobs.job import JsonObject
    from launch_jobs.queue import AppliedQueue, QueueInfo


_NAMED = 5


class _Given(TypedDict):
    template: Path | None
    registry: str | None
    operators: tuple[tuple[str, str], ...]
    limit: int | None
    description: str


@click.group("queue")
def queue_command() -> None:
    """Make and manage launch queues."""


@queue_command.command("create")
@click.argument("name")
@click.option("--type", "queue_type", metavar="docker|kubernetes|process", required=True, help="What runs its runs.")
@click.option(
    "--template",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Base job template (JSON), the queue's configuration.",
)
@click.option("--registry", metavar="BLOCK", help="Registry block: built images go there and run from there.")
@click.option(
    "--operator",
    "operators",
    metavar="NAME=VALUE",
    multiple=True,
    type=assignment,
    help="What its operator alone decides, such as namespace=research of a Kubernetes queue; repeatable.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Most runs at once, over all agents.")
@click.option("--description", default="", help="For people.")
@json_option
def create(name: str, queue_type: str, as_json: bool, **given: Unpack[_Given]) -> None:
    """Make a queue."""
    server_session()
    from launch_jobs.queue import create_queue

    template = _read_template(given["template"]) if given["template"] else None
    if given["operators"]:
        template = _with_operators(queue_type, template, given["operators"])
    if given["registry"]:
        template = wait(_with_registry(queue_type, template, given["registry"]))
    made = create_queue(name, queue_type, template=template, limit=given["limit"], description=given["description"])
    _tell(wait(made), as_json, then=f"launch agent -q {name}")


def _with_operators(queue_type: str, template: JsonObject | None, operators: tuple[tuple[str, str], ...]) -> JsonObject:
    """The template in which the operator has set fields that are no job variables."""
    from launch_jobs.queue import configuration_type
    from launch_jobs.targets.template import base_job_template, with_operator_fields

    model = configuration_type(queue_type)
    values = {name: plain_value(text) for name, text in operators}
    return with_operator_fields(template or base_job_template(model), model, values)


async def _with_registry(queue_type: str, template: JsonObject | None, block: str) -> JsonObject:
    """The template that sends built images to a Registry block, which must be there."""
    from launch_jobs.docker_access import DockerAccess, with_registry
    from launch_jobs.queue import configuration_type
    from launch_jobs.targets.template import base_job_template, with_operator_fields

    model = configuration_type(queue_type)
    made = with_operator_fields(template or base_job_template(model), model, {"registry": block})
    await with_registry(DockerAccess(), block)
    return made


def _read_template(path: Path) -> JsonObject:
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no readable JSON ({error})", do="Write the base job template as JSON") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object", do="Write the base job template as JSON")
    return content  # pyright: ignore[reportUnknownVariableType] - json.loads gives str keys and JSON values


@queue_command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def apply(file: Path, as_json: bool) -> None:
    """Make or change a queue so that it is as FILE says.

    FILE is YAML or JSON: name, type, and what is not the default of limit, description, registry, variables (their
    defaults by name), operator (fields that are its operator's alone) and template (the whole base job template).
    """
    server_session()
    from launch_jobs.cli.queue_file import read_queue_file

    applied = wait(_apply(read_queue_file(file)))
    if as_json:
        emit(applied.model_dump(mode="json"))
        return
    _tell_applied(applied)


async def _apply(wanted: QueueFile) -> AppliedQueue:
    from launch_jobs.queue import apply_queue, configuration_type
    from launch_jobs.targets.template import base_job_template, with_defaults, with_operator_fields

    model = configuration_type(wanted.type)
    template = with_defaults(wanted.template or base_job_template(model), wanted.variables)
    template = with_operator_fields(template, model, wanted.operator)
    if wanted.registry:
        template = await _with_registry(wanted.type, template, wanted.registry)
    return await apply_queue(
        wanted.name, wanted.type, template=template, limit=wanted.limit, description=wanted.description
    )


def _tell_applied(applied: AppliedQueue) -> None:
    from launch_jobs.cli.present import value_text

    name = applied.queue.name
    if applied.changes:
        click.echo(f"Queue {name} changed")
        rows = [(change.what, value_text(change.before), value_text(change.after)) for change in applied.changes]
        table(("what", "before", "after"), rows)
    else:
        click.echo(f"Queue {name} created" if applied.created else f"Queue {name} is so already")
    next_command(f"launch queue show {name}")


@queue_command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all launch queues."""
    server_session()
    from launch_jobs.queue import list_queues

    queues = wait(list_queues())
    if as_json:
        emit([queue.model_dump(mode="json", exclude={"template"}) for queue in queues])
        return
    rows = [(queue.name, queue.type, queue.status, queue.limit, queue.description) for queue in queues]
    table(("queue", "type", "status", "limit", "description"), rows)
    next_command(f"launch submit JOB -q {queues[0].name}" if queues else "launch queue create NAME --type docker")


@queue_command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one queue and its job variables."""
    server_session()
    from launch_jobs.queue import show_queue

    _tell(wait(show_queue(name)), as_json, then=f"launch submit JOB -q {name}")


@queue_command.command()
@click.argument("name")
@json_option
def pause(name: str, as_json: bool) -> None:
    """Pause a queue: it takes submits and starts nothing."""
    server_session()
    from launch_jobs.queue import pause_queue

    _tell(wait(pause_queue(name)), as_json, then=f"launch queue resume {name}")


@queue_command.command()
@click.argument("name")
@click.option("--timeout", metavar="DURATION", type=duration, help="Wait no longer: seconds, or 30s, 10m, 2h, 1d.")
@json_option
def drain(name: str, timeout: float | None, as_json: bool) -> None:
    """Pause a queue, and wait until its active runs are over.

    Queued ones stay queued, and the queue paused. Ends with 4 if runs are active still after --timeout.
    """
    server_session()
    from launch_jobs.queue import drain_queue

    def say(active: list[str]) -> None:
        more = " …" if len(active) > _NAMED else ""
        progress(f"Active runs of {name}: {len(active)} ({', '.join(active[:_NAMED])}{more})")

    _tell(wait(drain_queue(name, say, timeout=timeout)), as_json, then=f"launch queue resume {name}")


@queue_command.command()
@click.argument("name")
@json_option
def resume(name: str, as_json: bool) -> None:
    """Resume a paused or drained queue."""
    server_session()
    from launch_jobs.queue import pause_queue

    _tell(wait(pause_queue(name, paused=False)), as_json, then="launch list")


@queue_command.command()
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> None:
    """Delete a queue; its waiting runs are cancelled.

    Refused while runs of it are active.
    """
    server_session()
    from launch_jobs.queue import delete_queue

    wait(delete_queue(name))
    if as_json:
        emit({"name": name, "deleted": True})
        return
    click.echo(f"Queue {name} deleted")
    next_command("launch queue list")


def _tell(queue: QueueInfo, as_json: bool, *, then: str) -> None:
    if as_json:
        emit(queue.model_dump(mode="json"))
        return
    configuration = queue.template.get("job_configuration")
    facts(
        [
            ("queue", queue.name),
            ("type", queue.type),
            ("status", queue.status),
            ("limit", queue.limit),
            ("priorities", ", ".join(queue.priorities)),
            ("registry", configuration.get("registry") if isinstance(configuration, dict) else None),
            ("description", queue.description),
        ]
    )
    variables = queue.template.get("variables")
    properties = variables.get("properties") if isinstance(variables, dict) else None
    if isinstance(properties, dict):
        _print_variables(properties)
    next_command(then)


def _print_variables(properties: JsonObject) -> None:
    from launch_jobs.cli.present import value_text

    declared = {name: schema for name, schema in properties.items() if isinstance(schema, dict)}
    rows = [(name, value_text(schema.get("default")), schema.get("description")) for name, schema in declared.items()]
    click.echo()
    table(("job variable (--set)", "default", "meaning"), rows)
