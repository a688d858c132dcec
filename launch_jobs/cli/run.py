"""`launch run`: run a program here, tracked; it becomes a job, and we end as it ended."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from launch_jobs.cli.capture_bar import capture_bar
from launch_jobs.cli.output import emit, json_option, next_command, program_output_to_stderr, progress, warn
from launch_jobs.cli.params import datasets_option, notebook_magics_option, secret_files_option
from launch_jobs.cli.session import run_store

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.capture.environment import Mode
    from launch_jobs.capture.tracked import TrackedRun, Wanted
    from launch_jobs.job import CaptureRecord, JobVersion


class _Given(TypedDict):
    name: str | None
    environment: Mode
    secret_files: tuple[str, ...]
    datasets: tuple[tuple[str, str], ...]
    input_files: tuple[str, ...]
    notebook_magics: bool


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--name", help="The job's name; default: the script's stem.")
@click.option(
    "--environment",
    type=click.Choice(["imported", "project", "full"]),
    default="project",
    show_default=True,
    help="Distributions kept: what was imported, what the project can import too, or everything installed.",
)
@click.option(
    "--input-file",
    "input_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=str),
    help="A config file (JSON, YAML, TOML) of the program: its values become parameters; repeatable.",
)
@datasets_option
@secret_files_option
@notebook_magics_option
@click.argument("command", metavar="-- CMD ARG...", nargs=-1, type=click.UNPROCESSED)
@json_option
def run_command(command: tuple[str, ...], as_json: bool, **given: Unpack[_Given]) -> None:
    """Run a program here, tracked; it becomes a job.

    The program is not changed, needs nothing of ours installed, and no server. We end with its exit code (128+n for
    signal n); with 125 if it could not be started; with 3 if it was not, for what would be stored
    holds a secret. CMD may be a notebook: launch run -- train.ipynb.
    """
    if not command:
        raise click.UsageError("The command is empty: end with -- CMD ARG...", click.get_current_context())
    from launch_jobs.capture.tracked import run_tracked
    from launch_jobs.capture.tracked_end import STEPS

    wanted: Wanted = {
        "name": given["name"],
        "environment": given["environment"],
        "secret_files": given["secret_files"],
        "notebook_magics": given["notebook_magics"],
        "datasets": dict(given["datasets"]),
        "input_files": [str(Path(path).absolute()) for path in given["input_files"]],
    }
    store = run_store()
    with program_output_to_stderr() if as_json else nullcontext(), capture_bar(len(STEPS)) as say:
        wanted["say"] = say
        tracked = run_tracked(list(command), store=store, directory=Path.cwd(), **wanted)
    if tracked.problem:
        warn(tracked.problem)
    if as_json:
        emit(_document(tracked))
    elif tracked.version:
        progress(f"Captured {tracked.version.label} ({tracked.version.digest[:19]})")
        _tell_undeclared(tracked.version, tracked.record)
        next_command(f"launch submit {tracked.version.name} -q QUEUE")
    click.get_current_context().exit(tracked.exit_code)


def _tell_undeclared(version: JobVersion, record: CaptureRecord | None) -> None:
    """One line on data that was read and is not in the job."""
    from launch_jobs.capture.inputs_seen import proposal, undeclared
    from launch_jobs.cli.present import size_text

    inputs = undeclared(record.read, version.job.datasets) if record else []
    found = proposal(inputs, version.job.entrypoint.directory)
    if not found:
        return
    name, path = found
    first = f"{inputs[0].path} ({size_text(inputs[0].size or 0)})"
    more = f" and {len(inputs) - 1} more, which are" if len(inputs) > 1 else ", which is"
    progress(f"Read {first}{more} not in the job: add --dataset {shlex.quote(f'{name}={path}')}")


def _document(tracked: TrackedRun) -> dict[str, JsonValue]:
    from launch_jobs.cli.present import job_document

    version, record = tracked.version, tracked.record
    return {
        **(job_document(version) if version else {"name": None, "version": None, "digest": None}),
        "exit_code": tracked.exit_code,
        "problem": tracked.problem,
        "record": record.model_dump(mode="json") if record else None,
    }
