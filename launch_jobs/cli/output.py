"""What commands print: results on stdout (tables, or with --json one document), everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., object])

_WIDE = 10_000
_STYLES = {
    "completed": "green",
    "failed": "red",
    "crashed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "running": "cyan",
}


def json_option(command: F) -> F:
    """Add `--json`. With it, whatever prints to `sys.stdout` lands on stderr; only `emit` writes the document."""
    option = click.option(
        "--json", "as_json", is_flag=True, callback=_claim_stdout, help="Print one JSON document, nothing else."
    )
    return option(command)


def _claim_stdout(context: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        stdout = sys.stdout
        context.find_root().meta["launch.stdout"] = stdout
        sys.stdout = sys.stderr

        def give_back() -> None:
            sys.stdout = stdout

        context.call_on_close(give_back)
    return value


def emit(document: JsonValue) -> None:
    """Print the one JSON document of a command. ASCII, so that every terminal and pipe can carry it."""
    stdout = click.get_current_context().find_root().meta["launch.stdout"]
    click.echo(json.dumps(document, indent=2, allow_nan=False), file=stdout)


@contextmanager
def program_output_to_stderr() -> Generator[None]:
    """Let programs that we start write to our stderr: stdout is for the document."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def printable(text: str) -> str:
    """Text of others (names, messages, parameters) without anything that could steer a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def progress(text: str) -> None:
    """One line of progress, on stderr."""
    click.echo(printable(text), err=True)


def warn(text: str) -> None:
    """One line about what is not as it should be, on stderr."""
    click.echo(click.style("warning: ", fg="yellow") + printable(" ".join(text.split())), err=True)


def next_command(command: str) -> None:
    """The command that one is likely to want next: a dim line on stderr."""
    click.secho(f"next: {printable(command)}", dim=True, err=True)


def console(*, err: bool = False) -> Console:
    """A rich console that interprets no markup. Without a terminal lines are never cut."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; None is an empty cell. A cell that is a run's state has its colour."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        cells = ["" if cell is None else printable(str(cell)) for cell in row]
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in cells))
    console().print(shown)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; pairs without a value are left out."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, show_header=False)
    for name, value in pairs:
        if value is not None and value != "":
            text = printable(str(value))
            shown.add_row(Text(name, style="dim"), Text(text, style=_STYLES.get(text, ""), overflow="fold"))
    console().print(shown)
