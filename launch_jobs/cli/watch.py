"""`launch submit --watch`: one live line that says what happens now, the program's output as it comes, the results."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from launch_jobs.cli.output import console, printable, progress, table
from launch_jobs.cli.terminal import TerminalText

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from rich.status import Status
    from rich.text import Text

    from launch_jobs.cli.session import Session
    from launch_jobs.run import RunInfo

_POLL_S = 0.7
_QUEUE_POLL_S = 3.0
"""A run that has waited long is looked at less often: its place in the queue costs the server some counting."""

_PATIENCE_S = 300.0
_SPINNER = 3
"""Columns that the turning sign takes, and one that stays free at the end."""


class _Screen(Protocol):
    """Where a watch tells what it sees."""

    def phase(self, text: str, seconds: float | None) -> None:
        """Say what happens now, and how long the run has been running; None: nobody knows."""
        ...

    def output(self, chunk: bytes) -> None:
        """Show some of the program's own output."""
        ...


async def follow(session: Session, info: RunInfo, *, output: bool) -> RunInfo:
    """Show what a run does until it is over; with `output` what it prints, too. The run, as it ended.

    Raises:
        Unavailable: the server has not answered for five minutes; the run goes on.
    """
    import asyncio

    from launch_jobs.client import connect, translated_errors
    from launch_jobs.errors import Unavailable

    progress(f"Submitted {info.name}")
    answered = time.monotonic()
    with _screen(output=output) as screen:
        async with connect() as client:
            watch = _Watch(session, client, info, screen)
            while True:
                try:
                    async with translated_errors():
                        if ended := await watch.look():
                            return ended
                    answered = time.monotonic()
                except Unavailable as error:
                    if time.monotonic() - answered > _PATIENCE_S:
                        raise
                    screen.phase(f"{info.name} · {error.what}; trying again", None)
                await asyncio.sleep(watch.pause_s)


class _Watch:
    """One run under watch."""

    def __init__(self, session: Session, client: PrefectClient, info: RunInfo, screen: _Screen) -> None:
        from uuid import UUID

        from launch_jobs.output_tail import OutputTail

        self._store, self._client, self._run, self._screen = session.store, client, UUID(info.id), screen
        self._tail = OutputTail(client, session.store)
        self.pause_s = _POLL_S

    async def look(self) -> RunInfo | None:
        """Show what is new; the run, if it is over."""
        import asyncio

        from launch_jobs.run import RunState
        from launch_jobs.runs import describe
        from launch_jobs.why import explain_run

        run = await self._client.read_flow_run(self._run)
        why = await explain_run(self._client, run, self._store, brief=True)
        waits = why.state is RunState.SCHEDULED
        self.pause_s = min(_QUEUE_POLL_S, self.pause_s * 1.05) if waits else _POLL_S
        seconds = 0.0 if waits or run.start_time is None else run.estimated_run_time.total_seconds()
        self._screen.phase(f"{why.name} · {why.what}", seconds)
        async for chunk in self._tail.more(run):
            self._screen.output(chunk)
        if not why.state.is_final:
            return None
        return describe(run, await asyncio.to_thread(self._store.outcome, str(self._run)))


@contextmanager
def _screen(*, output: bool) -> Generator[_Screen]:
    if sys.stderr.isatty():
        with console(err=True).status("") as status:
            line = _LiveLine(status, output=output)
            try:
                yield line
            finally:
                line.end()
        return
    lines = _Lines(output=output)
    yield lines
    lines.end()


class _Lines:
    """Without a terminal: a line for each new phase, and the output byte for byte."""

    def __init__(self, *, output: bool) -> None:
        self._output, self._told, self._last = output, "", b"\n"

    def phase(self, text: str, seconds: float | None) -> None:
        del seconds
        if text != self._told:
            progress(text)
            self._told = text

    def output(self, chunk: bytes) -> None:
        if self._output and chunk:
            click.echo(chunk, nl=False)
            self._last = chunk

    def end(self) -> None:
        """What is printed next begins a line."""
        if not self._last.endswith(b"\n"):
            click.echo()


class _LiveLine:
    """On a terminal: one changing line, and the output above it."""

    def __init__(self, status: Status, *, output: bool) -> None:
        self._status, self._output = status, output
        self._shown = TerminalText()
        self._text = ""
        self._since: float | None = None

    def phase(self, text: str, seconds: float | None) -> None:
        if text != self._text:
            self._text = text
            self._since = None if seconds is None else time.monotonic() - seconds
            self._status.update(self)

    def __rich__(self) -> Text:
        """The line at this moment, on one row whatever the terminal's width."""
        from rich.text import Text

        from launch_jobs.cli.present import duration_text

        passed = "" if self._since is None else f" · {duration_text(max(0.0, time.monotonic() - self._since))}"
        room = max(1, self._status.console.width - len(passed) - _SPINNER)
        line = Text(printable(self._text), no_wrap=True)
        if line.cell_len > room:  # the name can be spared: it was printed before
            line = Text(printable(self._text.partition(" · ")[2] or self._text), no_wrap=True)
        line.truncate(room, overflow="ellipsis")
        return line.append(passed)

    def output(self, chunk: bytes) -> None:
        if not self._output:
            return
        self._status.stop()  # the line goes away while something is written above it
        if sys.stdout.isatty():
            click.echo(self._shown.feed(chunk), nl=False, color=True)
        else:
            click.echo(chunk, nl=False)
        self._status.start()

    def end(self) -> None:
        """What was printed last, though its line has no end."""
        if sys.stdout.isatty():
            self._status.stop()
            click.echo(self._shown.end(), nl=False, color=True)


def print_results(info: RunInfo) -> None:
    """Print how a watched run ended, its metrics and its outputs."""
    from launch_jobs.cli.output import facts
    from launch_jobs.cli.present import duration_text, value_text
    from launch_jobs.cli.runs import print_files

    facts(
        [
            ("run", info.name),
            ("state", info.state.value),
            ("reason", info.reason),
            ("attempt", info.attempt if (info.attempt or 1) > 1 else None),
            ("duration", duration_text(info.duration_s)),
        ]
    )
    if info.metrics:
        click.echo()
        table(("metric", "value"), [(name, value_text(value)) for name, value in info.metrics.items()])
    if info.outputs:
        click.echo()
        print_files(info.outputs)
