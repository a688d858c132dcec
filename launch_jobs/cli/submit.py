"""`launch submit`: put a job on a queue, and, if wanted, watch it to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from launch_jobs.cli.batch import submit_sets
from launch_jobs.cli.capture_bar import capture_bar
from launch_jobs.cli.output import emit, facts, json_option, next_command, progress
from launch_jobs.cli.params import (
    DashedCommand,
    assignment,
    command_line,
    dashed_command,
    duration,
    plain_value,
    secret_files_option,
)
from launch_jobs.cli.runs import print_run
from launch_jobs.cli.session import Session, server_session, wait
from launch_jobs.cli.watch import follow, print_results
from launch_jobs.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from launch_jobs.job import JsonObject
    from launch_jobs.run import RunInfo
    from launch_jobs.submission import Submission


class _Given(TypedDict):
    queue: str | None
    parameters: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    entrypoint: tuple[str, ...] | None
    name: str | None
    priority: str | None
    timeout: float | None
    retries: int
    datasets: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...]
    key: str | None
    batch: Path | None
    secret_files: tuple[str, ...]


@click.command("submit", cls=DashedCommand)
@click.argument("job", required=False)
@click.option("-q", "--queue", help="Launch queue; default: the job's own.")
@click.option(
    "-p", "parameters", metavar="NAME=VALUE", multiple=True, type=assignment, help="A hyperparameter; repeatable."
)
@click.option(
    "--set",
    "variables",
    metavar="VARIABLE=VALUE",
    multiple=True,
    type=assignment,
    help="A job variable of the queue, such as gpus=1; repeatable.",
)
@click.option("--arg", "args", multiple=True, help="Appended to the program's arguments; repeatable.")
@click.option(
    "--env", metavar="NAME=VALUE", multiple=True, type=assignment, help="The program's environment; repeatable."
)
@click.option("--entrypoint", metavar="COMMAND", type=command_line, help="Replaces the job's command.")
@click.option("--name", help="The run's name.")
@click.option("--priority", metavar="critical|high|medium|low", help="Place in the queue; default: medium.")
@click.option("--timeout", metavar="DURATION", type=duration, help="Time limit: seconds, or 30s, 10m, 2h, 1d.")
@click.option(
    "--retries", type=click.IntRange(0, 100), default=0, help="Further attempts after one that failed or crashed."
)
@click.option(
    "--dataset",
    "datasets",
    metavar="NAME=outputs://RUN/ATTEMPT[/PATH]",
    multiple=True,
    type=assignment,
    help="What another run left, for the program to find by $LAUNCH_DATASET_NAME; repeatable.",
)
@click.option(
    "--secret",
    "secrets",
    metavar="NAME[=VARIABLE]",
    multiple=True,
    help="A secret that the agent's operator binds for this queue: the file $LAUNCH_SECRETS_DIR/NAME; repeatable.",
)
@secret_files_option
@click.option(
    "--batch",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One run for each set of parameters that this file (JSON, JSON lines, YAML) lists: all of them, or none.",
)
@click.option("--key", help="Idempotency key: submitting again with it gives the same run, or the same batch.")
@click.option("--watch", is_flag=True, help="Follow the run to its end: 0 if it completed, else 1.")
@click.option("--dry-run", is_flag=True, help="Check everything and print what would be sent; send nothing.")
@json_option
def submit_command(job: str | None, watch: bool, dry_run: bool, as_json: bool, **given: Unpack[_Given]) -> None:
    """Submit a job to a launch queue.

    JOB is name, name:v3, name:alias or name@sha256:…. With -- CMD the working copy is captured, without running it
    here, and submitted. With --batch all other options are for every run; what a set of the file names counts more
    than -p, and --name gets the place in the file behind it. Cut off, it is completed by the same command with the same
    --key.
    """
    command = dashed_command()
    if (job is None) == (command is None):
        raise click.UsageError("Give either JOB or -- CMD ARG...", click.get_current_context())
    _refuse_mixtures(command, given, watch=watch, dry_run=dry_run)
    session = server_session()
    submission = _submission(job or _capture(session, command or (), given["secret_files"]), given)
    if given["batch"]:
        submit_sets(session, submission, given["batch"], dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        _print_request(session, submission, as_json)
        return
    info = _submit(session, submission)
    if watch:
        _watch(session, info, as_json)
        return
    if as_json:
        emit(info.model_dump(mode="json"))
        return
    print_run(info)
    next_command(f"launch logs {info.name} -f")


def _refuse_mixtures(command: tuple[str, ...] | None, given: _Given, *, watch: bool, dry_run: bool) -> None:
    """Options that exclude each other."""
    if watch and (dry_run or given["batch"]):
        other = "--dry-run" if dry_run else "--batch"
        raise click.UsageError(f"--watch and {other} exclude each other", click.get_current_context())
    if command and (given["parameters"] or given["batch"]):
        option = "-p" if given["parameters"] else "--batch"
        raise BadInput(
            f"{option} cannot go with -- CMD: nobody knows the parameters of a program that was not run here",
            do="Write them into CMD, or run it once with `launch run` and submit the job",
        )


def _capture(session: Session, command: tuple[str, ...], secret_files: tuple[str, ...]) -> str:
    """Capture the working copy: its git work tree if it is in one, else the folder."""
    from launch_jobs.capture import capture_folder

    with capture_bar() as say:
        say("Capturing the source")
        version = capture_folder(Path.cwd(), command, store=session.store, secret_files=secret_files)
    progress(f"Captured {version.label} ({version.digest[:19]})")
    return version.reference


def _submission(job: str, given: _Given) -> Submission:
    """What was typed, as data.

    Raises:
        BadInput: a value cannot be one.
    """
    from pydantic import ValidationError

    from launch_jobs.job import Overrides
    from launch_jobs.submission import Submission

    try:
        return Submission(
            job=job,
            queue=given["queue"],
            overrides=Overrides(
                args=given["args"],
                env=dict(given["env"]),
                entrypoint=given["entrypoint"],
                timeout_s=given["timeout"],
                retries=given["retries"],
                datasets=dict(given["datasets"]),
            ),
            parameter_texts=dict(given["parameters"]),
            variables=_variables(given),
            priority=given["priority"],
            name=given["name"],
            key=given["key"],
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def _variables(given: _Given) -> JsonObject:
    """Job variables as typed; secrets are one of them."""
    variables: JsonObject = {name: plain_value(text) for name, text in given["variables"]}
    return {**variables, "secrets": [*given["secrets"]]} if given["secrets"] else variables


def _print_request(session: Session, submission: Submission, as_json: bool) -> None:
    from launch_jobs.submission import prepare

    request = wait(prepare(submission, session.store))
    if as_json:
        emit(request.model_dump(mode="json"))
        return
    facts([("job", request.job_label), ("content", request.job), ("queue", request.queue)])
    click.echo(json.dumps(request.body, indent=2))
    for file in request.files:
        click.echo(file.diff)
    next_command("the same without --dry-run")


def _submit(session: Session, submission: Submission) -> RunInfo:
    from launch_jobs.runs import show_run
    from launch_jobs.submission import submit

    async def submit_and_show() -> RunInfo:
        run = await submit(submission, session.store)
        return await show_run(str(run.id), session.store)

    return wait(submit_and_show())


def _watch(session: Session, info: RunInfo, as_json: bool) -> None:
    try:
        info = wait(follow(session, info, output=not as_json))
    except KeyboardInterrupt:
        progress(f"{info.name} goes on")
        if as_json:
            emit(info.model_dump(mode="json"))
        next_command(f"launch logs {info.name} -f, or launch cancel {info.name}")
        raise
    if as_json:
        emit(info.model_dump(mode="json"))
    else:
        print_results(info)
    if info.state.value != "completed":
        next_command(f"launch show {info.name}, or launch retry {info.name}")
        click.get_current_context().exit(RunFailed.exit_code)
    next_command(f"launch outputs {info.name}" if info.outputs else f"launch show {info.name}")
