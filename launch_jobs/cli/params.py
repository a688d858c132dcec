"""How commands read what users type: assignments, durations, command lines, and the words after `--`."""

from __future__ import annotations

import json
import math
import re
import shlex
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from pydantic import JsonValue

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)([smhd]?)", re.ASCII)

COMMAND = "launch.command"
"""Where a `DashedCommand` leaves the words after `--` in the context's `meta`."""


def assignment(text: str) -> tuple[str, str]:
    """Read `name=value`; the value is everything after the first `=`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not name=value")
    return name, value


def duration(text: str) -> float:
    """Read seconds: `90`, `1.5`, `30s`, `10m`, `2h`, `1d`."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds or not math.isfinite(seconds):
        raise click.BadParameter(f"{text!r} is no duration. Write seconds, or 30s, 10m, 2h, 1d")
    return seconds


def command_line(text: str) -> tuple[str, ...]:
    """Split a command as a POSIX shell would; nothing is expanded."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error
    if not words:
        raise click.BadParameter("the command is empty")
    return words


def plain_value(text: str) -> JsonValue:
    """The value of `--set name=text`: JSON where it reads as JSON, else the text itself."""
    try:
        value = cast("JsonValue", json.loads(text))
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


secret_files_option = click.option(
    "--allow-secret-file",
    "secret_files",
    metavar="PATH",
    multiple=True,
    help="Store this file although it holds what looks like a secret; noted with the job; repeatable.",
)


notebook_magics_option = click.option(
    "--allow-notebook-magics",
    "notebook_magics",
    is_flag=True,
    help="Run cells of a notebook that have shell magics (!, %%bash, %pip ...) under IPython, and do not refuse them.",
)


datasets_option = click.option(
    "--dataset",
    "datasets",
    metavar="NAME=PATH|URL",
    multiple=True,
    type=assignment,
    help="Data the program reads and that is not in its source: a file or folder, s3://bucket/key-or-prefix/, "
    "outputs://RUN, or job://JOB/NAME; repeatable.",
)


class DashedCommand(click.Command):
    """A command that takes another command after `--`; those words are kept as they are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the words after the first `--` aside."""
        dashes = args.index("--") if "--" in args else len(args)
        ctx.meta[COMMAND] = tuple(args[dashes + 1 :]) if dashes < len(args) else None
        return super().parse_args(ctx, args[:dashes])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Name the command in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD ARG...]"]


def dashed_command() -> tuple[str, ...] | None:
    """The words after `--`; None if there was no `--`.

    Raises:
        click.UsageError: nothing, or an empty word, follows it.
    """
    context = click.get_current_context()
    words = cast("tuple[str, ...] | None", context.meta[COMMAND])
    if words is not None and (not words or not words[0]):
        raise click.UsageError("The command after -- is empty", context)
    return words
