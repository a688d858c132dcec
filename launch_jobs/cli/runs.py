"""`list`, `show`, `outputs`, `cancel`: runs on the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, table
from launch_jobs.cli.session import Session, server_session, wait
from launch_jobs.errors import LaunchError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from launch_jobs.run import OutputFile, RunInfo

_STATES = ("scheduled", "pending", "running", "cancelling", "completed", "failed", "crashed", "cancelled", "paused")


@click.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; repeatable.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Most runs shown.")
@json_option
def list_command(states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the newest runs of all queues.

    With --state scheduled also those that a schedule has planned for later.
    """
    session = server_session()
    from launch_jobs.cli.present import run_row
    from launch_jobs.run import RunState
    from launch_jobs.runs import list_runs

    runs = wait(list_runs(session.store, states=[RunState(state) for state in states] or None, limit=limit))
    if as_json:
        emit([run.model_dump(mode="json") for run in runs])
        return
    table(("run", "queue", "parameters", "state", "duration", "metrics", "submitted"), map(run_row, runs))
    next_command(f"launch show {runs[0].name}" if runs else "launch submit JOB -q QUEUE")


@click.command("show")
@click.argument("run")
@json_option
def show_command(run: str, as_json: bool) -> None:
    """Show one run; RUN is its name or id."""
    session = server_session()
    from launch_jobs.runs import show_run

    info = wait(show_run(run, session.store))
    if as_json:
        emit(info.model_dump(mode="json"))
        return
    print_run(info)
    next_command(f"launch outputs {info.name}" if info.outputs else f"launch logs {info.name}")


def print_run(info: RunInfo) -> None:
    """Print all that is known of a run."""
    from launch_jobs.cli.present import run_facts

    facts(run_facts(info))


def print_files(files: tuple[OutputFile, ...], into: Path = Path()) -> None:
    """Print output files with their sizes."""
    from launch_jobs.cli.present import size_text

    table(("file", "size"), [(into / file.path, size_text(file.size)) for file in files])


@click.command("outputs")
@click.argument("run")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path))
@json_option
def outputs_command(run: str, directory: Path | None, as_json: bool) -> None:
    """Fetch the files a run left, verified, into DIR.

    DIR is outputs/RUN if it is not given. A file there that has the name of an output is replaced.
    """
    session = server_session()
    from launch_jobs.names import slug
    from launch_jobs.runs import show_run

    info = wait(show_run(run, session.store))
    into = directory or Path("outputs") / slug(info.name)
    _fetch(session, info, into)
    if as_json:
        files = [file.model_dump(mode="json") for file in info.outputs]
        emit({"run": info.id, "directory": str(into.absolute()), "files": [*files], "metrics": info.metrics})
        return
    print_files(info.outputs, into)
    next_command("launch list")


def _fetch(session: Session, info: RunInfo, into: Path) -> None:
    from launch_jobs.cli.progress import fetch_bar
    from launch_jobs.runs import fetch_outputs

    sizes = {into / file.path: file.size for file in info.outputs}
    wait(fetch_bar(fetch_outputs(info.id, session.store, into), sizes))


@click.command("cancel")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@json_option
def cancel_command(runs: tuple[str, ...], as_json: bool) -> None:
    """Cancel runs.

    A queued run ends at once, a running one when its container or process is gone.
    """
    session = server_session()
    from launch_jobs.runs import cancel_run

    cancelled, failed = _each(session, runs, cancel_run)
    if as_json and not failed:
        emit([info.model_dump(mode="json") for info in cancelled])
    elif cancelled and not as_json:
        table(("run", "state"), [(info.name, info.state.value) for info in cancelled])
    if failed:
        raise failed
    next_command(f"launch show {cancelled[0].name}")


def _each(
    session: Session, runs: tuple[str, ...], change: Callable[[str], Coroutine[object, object, object]]
) -> tuple[list[RunInfo], LaunchError | None]:
    """Change one run after the other: those that were, and the last refusal; earlier ones are told."""
    from launch_jobs.runs import show_run

    changed: list[RunInfo] = []
    failed: LaunchError | None = None
    for run in runs:
        try:
            wait(change(run))
            changed.append(wait(show_run(run, session.store)))
        except LaunchError as error:
            if failed:
                click.echo(f"error: {failed}", err=True)
            failed = error
    return changed, failed


@click.command("retry")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@json_option
def retry_command(runs: tuple[str, ...], as_json: bool) -> None:
    """Put failed, crashed or cancelled runs back on their queues.

    Each makes its next attempt with the same job, parameters and variables. With --json one run is an object, several
    are a list.
    """
    session = server_session()
    from launch_jobs.runs import retry_run

    retried, failed = _each(session, runs, retry_run)
    if as_json and not failed:
        documents = [info.model_dump(mode="json") for info in retried]
        emit([*documents] if len(runs) > 1 else documents[0])
    elif len(runs) == 1 and retried and not as_json:
        print_run(retried[0])
    elif retried and not as_json:
        table(("run", "state"), [(info.name, info.state.value) for info in retried])
    if failed:
        raise failed
    next_command(f"launch logs {retried[0].name} -f")
