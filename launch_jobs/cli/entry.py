"""The outermost border: every way in which a command can end becomes one line and an exit code."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import click
from click.exceptions import Exit, NoArgsIsHelpError

from launch_jobs.cli import completion
from launch_jobs.cli.commands import launch
from launch_jobs.cli.output import printable
from launch_jobs.errors import BadInput, LaunchError, Refused

BAD_INPUT = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
UNEXPECTED = 1
NOT_STARTED = 125
"""`launch run` itself failed, so that no code of the user's program is meant (as env, docker run and timeout do)."""


def run(arguments: Sequence[str], command: click.Command = launch) -> int:
    """Run one command of the tree under `command`; returns the exit code of the process."""
    _print_what_the_terminal_cannot()
    if completion.complete(command):
        return 0
    try:
        code = _invoke(arguments, command)
    except NoArgsIsHelpError as error:
        error.show()
        code = BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        code = PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the border: a user never sees a traceback, and it is kept
        code = _fail(arguments, _as_launch_error(error))
    return code


def _as_launch_error(error: Exception) -> LaunchError:
    if isinstance(error, LaunchError):
        return error
    if isinstance(error, click.UsageError):
        do = f"See `{error.ctx.command_path} --help`" if error.ctx else ""
        return BadInput(" ".join(error.format_message().split()).rstrip("."), do=do)
    return _unexpected(error)


def _invoke(arguments: Sequence[str], command: click.Command) -> int:
    _check_encoding(arguments)
    try:
        with command.make_context("launch", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except Exit as ended:
        return ended.exit_code
    return 0


def _own_words(arguments: Sequence[str]) -> list[str]:
    """The arguments that are ours, not the user's program's."""
    return list(takewhile(lambda word: word != "--", arguments))


def _check_encoding(arguments: Sequence[str]) -> None:
    for word in _own_words(arguments):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"The argument {word!r} is not UTF-8", do="Write it in UTF-8") from None


def _fail(arguments: Sequence[str], error: LaunchError) -> int:
    """Say why in one line on stderr (and with --json in a document on stdout)."""
    # A refusal says so: no other code tells a script that its files hold a secret.
    code = NOT_STARTED if arguments[:1] == ["run"] and not isinstance(error, Refused) else error.exit_code
    line = printable(" ".join(str(error).split()))
    click.echo(click.style("error: ", fg="red", bold=True) + line, err=True)
    if "--json" in _own_words(arguments):
        click.echo(json.dumps({"error": {"what": error.what, "do": error.do, "exit_code": code}}, indent=2))
    return code


class _Unexpected(LaunchError):
    """A fault of ours."""

    exit_code = UNEXPECTED


def _unexpected(error: Exception) -> LaunchError:
    what = f"Unexpected {type(error).__name__}: {error}"
    try:
        path = _keep_traceback()
    except (OSError, LaunchError):
        return _Unexpected(what, do="Its traceback could not be kept: LAUNCH_JOBS_HOME cannot be written")
    return _Unexpected(what, do=f"This is a fault of Launch Jobs; its traceback is in {path}")


def _keep_traceback() -> Path:
    from launch_jobs.home import home

    path = home() / "logs" / "cli-error.log"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with path.open("a") as log:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        log.write(f"{moment} process {os.getpid()}\n{traceback.format_exc()}\n")
    return path


def _print_what_the_terminal_cannot() -> None:
    """A character that the terminal's encoding lacks is written as an escape, not raised as an error."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """The reader of our output is gone: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
