"""`launch check`: proves that the store is whole, nothing is orphaned and no run is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, json_option, next_command, progress, table, warn
from launch_jobs.cli.session import server_session, wait
from launch_jobs.errors import Unavailable

if TYPE_CHECKING:
    from launch_jobs.audit import Audit

_FAULTS = 1


@click.command("check")
@json_option
def check_command(as_json: bool) -> None:
    """Prove that the store is whole, nothing is orphaned, and no run is lost.

    Every object of the store is read and compared with its digest. Containers and processes of this machine are
    compared with the runs on the server, and those with the store. Nothing is changed. Ends with 0 if all is whole, 1
    if something is not, and 4 if a part could not be looked at; the others are, all the same.
    """
    session = server_session()
    from launch_jobs.audit import audit

    found = wait(audit(session.settings, lambda: session.store, progress))
    if as_json:
        emit({"whole": found.whole, **found.model_dump(mode="json")})
    else:
        _print(found)
    context = click.get_current_context()
    if found.damaged:
        context.exit(_FAULTS)
    if found.unchecked:
        context.exit(Unavailable.exit_code)


def _print(found: Audit) -> None:
    for part in found.unchecked:
        warn(f"{part.part} not checked: {part.what}" + (f". {part.do}" if part.do else ""))
    if found.faults:
        table(("part", "where", "what", "do"), [(each.part, each.key, each.what, each.do) for each in found.faults])
    if found.checked and not found.damaged:
        click.echo(f"Whole: {', '.join(found.checked)}")
    next_command("launch doctor" if found.unchecked else "launch list")
