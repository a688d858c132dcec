"""`launch logs`: a run's output, raw into files and pipes, harmless on a terminal."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, json_option, next_command
from launch_jobs.cli.session import Session, server_session, wait
from launch_jobs.cli.terminal import TerminalText

if TYPE_CHECKING:
    from launch_jobs.run import RunInfo


@click.command("logs")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("--raw", is_flag=True, help="Byte for byte on a terminal, too, which the program then steers.")
@json_option
def logs_command(run: str, follow: bool, raw: bool, as_json: bool) -> None:
    """Print what a run printed.

    Into files and pipes byte for byte; on a terminal in its colours, without anything else that could steer it.
    While the run goes on, what has reached the server: of a flood parts, and how many lines are left out.
    """
    session = server_session()
    if as_json:
        info, log = wait(_collect(session, run, follow=follow))
        emit({**info.model_dump(mode="json"), "log": log.decode(errors="replace")})
        return
    wait(_print(session, run, follow=follow, raw=raw))
    if sys.stderr.isatty():
        next_command(f"launch show {run}")


async def _collect(session: Session, run: str, *, follow: bool) -> tuple[RunInfo, bytes]:
    from launch_jobs.runs import read_log, show_run

    log = b"".join([chunk async for chunk in read_log(run, session.store, follow=follow)])
    return await show_run(run, session.store), log


async def _print(session: Session, run: str, *, follow: bool, raw: bool) -> None:
    from launch_jobs.runs import read_log

    await print_log(read_log(run, session.store, follow=follow), raw=raw)


async def print_log(chunks: AsyncIterator[bytes], *, raw: bool = False) -> None:
    """Write a log to stdout as it comes."""
    text = TerminalText() if sys.stdout.isatty() and not raw else None
    try:
        async for chunk in chunks:
            click.echo(text.feed(chunk) if text else chunk, nl=False, color=True)
    finally:
        if text:
            click.echo(text.end(), nl=False, color=True)
