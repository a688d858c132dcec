"""`launch why`: one sentence about where a run is, and since when."""

from __future__ import annotations

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command
from launch_jobs.cli.session import server_session, wait


@click.command("why")
@click.argument("run")
@json_option
def why_command(run: str, as_json: bool) -> None:
    """Say why a run is where it is.

    Its position in the queue and what holds it up, what it does now, or how it ended; and since when.
    """
    session = server_session()
    from launch_jobs.cli.present import ago_text
    from launch_jobs.run import RunState
    from launch_jobs.why import explain

    why = wait(explain(run, session.store))
    if as_json:
        emit(why.model_dump(mode="json"))
        return
    since = f"{why.since} ({ago_text(why.since)})" if why.since else None
    facts([("run", why.name), ("why", why.what), ("since", since), ("exit code", why.exit_code), ("do", why.do)])
    over = why.state.is_final and why.state is not RunState.COMPLETED
    next_command(f"launch retry {why.name}" if over else f"launch show {why.name}")
