"""`launch run`: run a program here, tracked; it becomes a job, and we end as it ended."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, json_option, next_command, program_output_to_stderr, progress, warn
from launch_jobs.cli.params import secret_files_option
from launch_jobs.cli.session import local_session

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.capture.environment import Mode
    from launch_jobs.capture.tracked import TrackedRun


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--name", help="The job's name; default: the script's stem.")
@click.option(
    "--environment",
    type=click.Choice(["imported", "project", "full"]),
    default="project",
    show_default=True,
    help="Distributions kept: what was imported, what the project can import too, or everything installed.",
)
@secret_files_option
@click.argument("command", metavar="-- CMD ARG...", nargs=-1, type=click.UNPROCESSED)
@json_option
def run_command(
    name: str | None, environment: Mode, secret_files: tuple[str, ...], command: tuple[str, ...], as_json: bool
) -> None:
    """Run a program here, tracked; it becomes a job.

    The program is not changed, needs nothing of ours installed, and no server. We end with its exit code (128+n for
    signal n); with 125 if it could not be started; with 3 if it was not, for what would be stored
    holds a secret.
    """
    if not command:
        raise click.UsageError("The command is empty: end with -- CMD ARG...", click.get_current_context())
    from launch_jobs.capture.tracked import run_tracked

    run = partial(run_tracked, store=local_session().store, name=name, environment=environment)
    with program_output_to_stderr() if as_json else nullcontext():
        tracked = run(list(command), directory=Path.cwd(), secret_files=secret_files)
    if tracked.problem:
        warn(tracked.problem)
    if as_json:
        emit(_document(tracked))
    elif tracked.version:
        progress(f"Captured {tracked.version.label} ({tracked.version.digest[:19]})")
        next_command(f"launch submit {tracked.version.name} -q QUEUE")
    click.get_current_context().exit(tracked.exit_code)


def _document(tracked: TrackedRun) -> dict[str, JsonValue]:
    from launch_jobs.cli.present import job_document

    version, record = tracked.version, tracked.record
    return {
        **(job_document(version) if version else {"name": None, "version": None, "digest": None}),
        "exit_code": tracked.exit_code,
        "problem": tracked.problem,
        "record": record.model_dump(mode="json") if record else None,
    }
