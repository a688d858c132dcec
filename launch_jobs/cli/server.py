"""`up`, `down`, `env`, `ui`, `init`, `doctor`: this machine's server, and the project files."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, progress, table, warn
from launch_jobs.cli.session import Session, local_session, quieten, wait
from launch_jobs.errors import LaunchError, Unavailable

if TYPE_CHECKING:
    from launch_jobs.local.connection import Connection
    from launch_jobs.settings import LaunchSettings


@click.command("up")
@json_option
def up_command(as_json: bool) -> None:
    """Start the embedded server, first queues and an agent.

    What runs already is kept, what is missing or broken is mended. The server listens on loopback only, with a
    password.
    """
    from launch_jobs.local.agent import start_agent
    from launch_jobs.local.connection import use_server
    from launch_jobs.local.lifecycle import up

    settings = local_session().settings
    local = up(settings, say=progress)
    to = local.connection
    use_server(to)
    quieten()
    _lay_down_project(settings)
    _register_blocks(settings)
    queues = _ensure_queues()
    if start_agent(settings, queues):
        progress(f"Agent: started on {', '.join(queues)}")
    if as_json:
        emit({**_address(to), "api_url": to.api_url, "database": local.database, "queues": [*queues]})
        return
    _print_address(to)
    next_command("launch run -- python train.py")


def _lay_down_project(settings: LaunchSettings) -> None:
    from launch_jobs.errors import Refused
    from launch_jobs.project import lay_down

    try:
        lay_down(settings.home / "project")
    except Refused as error:
        warn(f"The project was kept as it is: {error}")


def _register_blocks(settings: LaunchSettings) -> None:
    """The block types are for the UI: without them runs go on."""
    from launch_jobs.operator_blocks import register_blocks

    try:
        wait(register_blocks(settings.home / "project"))
    except LaunchError as error:
        warn(f"The block types were not registered: {error}")


def _ensure_queues() -> list[str]:
    """Names of the launch queues that this machine can serve; the first ones are made."""
    from launch_jobs.queue import create_queue, list_queues

    present = wait(list_queues())
    docker = _docker_answers()
    for queue_type in ("process", *(["docker"] if docker else [])):
        if all(queue.type != queue_type for queue in present):
            present.append(wait(create_queue(queue_type, queue_type)))
            progress(f"Queue {queue_type}: made")
    return sorted(queue.name for queue in present if docker or queue.type != "docker")


def _docker_answers() -> bool:
    from launch_jobs import engine

    try:
        engine.connect(timeout_s=5).close()
    except LaunchError as error:
        progress(f"No Docker queue is served: {error.what}")
        return False
    return True


@click.command("down")
@click.option("--drain", is_flag=True, help="First wait until the active runs are over; queued ones stay queued.")
@click.option("--cancel", is_flag=True, help="First cancel the active runs; queued ones stay queued.")
@json_option
def down_command(drain: bool, cancel: bool, as_json: bool) -> None:
    """Stop the embedded agent, server and database.

    With active runs this is refused, unless told to drain or to cancel.
    """
    if drain and cancel:
        raise click.UsageError("--drain and --cancel exclude each other", click.get_current_context())
    from launch_jobs.local.lifecycle import down

    session = local_session()
    _end_runs(session, drain=drain, cancel=cancel)
    stopped = down(session.settings, say=progress)
    if as_json:
        emit({"stopped": stopped})
        return
    click.echo("Stopped" if stopped else "Nothing was running")
    next_command("launch up")


def _end_runs(session: Session, *, drain: bool, cancel: bool) -> None:
    from launch_jobs.local import server
    from launch_jobs.local.connection import connection, use_server

    to = connection(session.settings)
    if to is not None and not to.embedded:
        warn(f"This home is connected to {to.api_url}, which is left alone; agents end by Ctrl-C or SIGTERM")
        return
    if to is None or not server.healthy(to):
        return  # nobody to ask; containers and supervised processes are adopted after the next `launch up`
    use_server(to)
    quieten()
    from launch_jobs.cli.ending import end_runs

    wait(end_runs(session, drain=drain, cancel=cancel))


def _connection() -> Connection:
    from launch_jobs.local.connection import connection

    to = connection(local_session().settings)
    if to is None:
        raise Unavailable("No server is up", do="Run `launch up`, or `launch connect URL`")
    return to


@click.command("env")
@json_option
def env_command(as_json: bool) -> None:
    """Print exports for the stock prefect commands.

    Use it as: eval "$(launch env)"
    """
    from launch_jobs.local.connection import client_environment

    variables = client_environment(_connection())
    if as_json:
        emit({**variables})
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if sys.stdout.isatty():
        next_command('eval "$(launch env)"')


@click.command("ui")
@json_option
def ui_command(as_json: bool) -> None:
    """Open the Prefect UI; print its address and password."""
    to = _connection()
    if as_json:
        emit({**_address(to)})
        return
    _print_address(to)
    if sys.stdout.isatty() and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        click.launch(to.ui_url)
    next_command("launch list")


def _address(to: Connection) -> dict[str, str]:
    return {"ui_url": to.ui_url, "user": to.auth_string.partition(":")[0], "password": to.password}


def _print_address(to: Connection) -> None:
    address = _address(to)
    facts([("UI", address["ui_url"]), ("user", address["user"]), ("password", address["password"])])


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@json_option
def init_command(directory: Path, as_json: bool) -> None:
    """Lay down flows/, blocks/ and prefect.yaml, to deploy or change them.

    Files that are there and differ are never overwritten.
    """
    from launch_jobs.project import lay_down

    written = lay_down(directory)
    if as_json:
        emit({"directory": str(directory.absolute()), "written": [*written]})
        return
    for name in written:
        click.echo(directory / name)
    next_command('eval "$(launch env)" && prefect deploy --all')


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Check server, store, builder and tools; say what to do.

    Ends with 4 if something that is needed does not work.
    """
    from launch_jobs.doctor import check_all

    checks = check_all(local_session().settings)
    if as_json:
        emit([asdict(check) for check in checks])
    else:
        words = {True: "ok", False: "broken", None: "-"}
        table(("part", "", "found", "do"), [(c.name, words[c.ok], c.detail, c.do) for c in checks])
        broken = any(check.ok is False for check in checks)
        next_command("launch up" if broken else "launch run -- python train.py")
    if any(check.ok is False for check in checks):
        click.get_current_context().exit(Unavailable.exit_code)
