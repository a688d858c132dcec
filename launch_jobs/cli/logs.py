"""`launch logs`: a run's output, raw into files and pipes, harmless on a terminal."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, json_option, next_command, printable
from launch_jobs.cli.session import Session, server_session, wait

if TYPE_CHECKING:
    from launch_jobs.run import RunInfo

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@click.command("logs")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@json_option
def logs_command(run: str, follow: bool, as_json: bool) -> None:
    """Print what a run printed.

    Into files and pipes byte for byte; on a terminal without what could steer it.
    """
    session = server_session()
    if as_json:
        info, log = wait(_collect(session, run, follow=follow))
        emit({**info.model_dump(mode="json"), "log": log.decode(errors="replace")})
        return
    wait(_print(session, run, follow=follow))
    if sys.stderr.isatty():
        next_command(f"launch show {run}")


async def _collect(session: Session, run: str, *, follow: bool) -> tuple[RunInfo, bytes]:
    from launch_jobs.runs import read_log, show_run

    log = b"".join([chunk async for chunk in read_log(run, session.store, follow=follow)])
    return await show_run(run, session.store), log


async def _print(session: Session, run: str, *, follow: bool) -> None:
    from launch_jobs.runs import read_log

    await print_log(read_log(run, session.store, follow=follow))


async def print_log(chunks: AsyncIterator[bytes]) -> None:
    """Write a log to stdout as it comes."""
    terminal = sys.stdout.isatty()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    async for chunk in chunks:
        click.echo(shown(decoder.decode(chunk)) if terminal else chunk, nl=False)
    if terminal and (rest := decoder.decode(b"", final=True)):
        click.echo(shown(rest))


def shown(text: str) -> str:
    """A log as a terminal may show it: colours are taken out, anything else that could steer it is escaped."""
    lines = _COLOUR.sub("", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(printable(line.expandtabs()) for line in lines)
