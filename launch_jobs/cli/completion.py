"""Shell completion: the script for a shell, and the words it asks for. Names come quickly or not at all."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr, suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from launch_jobs.cli.output import emit, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "_LAUNCH_COMPLETE"
"""Set by the completion script; its value says for which shell."""

_KINDS = {"job": "job", "run": "run", "runs": "run", "queue": "queue", "queues": "queue"}
"""Name of a parameter → what its values name."""

_SECONDS = 1.0
_MOST = 100


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion_command(shell: str, as_json: bool) -> None:
    """Print the completion script of a shell.

    Commands, options, and the names of jobs, queues and runs. For bash, put
    `eval "$(launch completion bash)"` into ~/.bashrc; for zsh the same with zsh into ~/.zshrc; for fish write
    `launch completion fish` to ~/.config/fish/completions/launch.fish.
    """
    made = get_completion_class(shell)
    script = made(click.Group(), {}, "launch", VARIABLE).source() if made else ""
    if as_json:
        emit({"shell": shell, "script": script})
        return
    click.echo(script)


def complete(command: click.Command) -> bool:
    """Answer a shell that asks for words; False if none does. Nothing is ever said on stderr."""
    instruction = os.environ.get(VARIABLE)
    if not instruction:
        return False
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere), suppress(Exception):  # noqa: PTH123 - a device
        shell_complete(command, {}, "launch", VARIABLE, instruction)
        sys.stdout.flush()
    return True


class NameType(click.types.StringParamType):
    """A name that a shell can be told: of a job, a queue or a run."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        del ctx, param
        return [CompletionItem(name) for name in _names(self.kind) if name.startswith(incomplete)]


def complete_names(command: click.Command, *, of_queues: bool = False) -> None:
    """Say of every parameter of a command, and of those under it, that takes a name what it names."""
    of_queues = of_queues or command.name == "queue"
    for param in command.params:
        kind = "queue" if of_queues and param.name == "name" else _KINDS.get(param.name or "")
        if kind and param.type is click.STRING and command.name != "create":
            param.type = NameType(kind)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            complete_names(below, of_queues=of_queues)


def _names(kind: str) -> list[str]:
    with suppress(Exception):
        return sorted(set(_jobs() if kind == "job" else _asked(kind)))
    return []


def _jobs() -> Iterator[str]:
    """Names of jobs in a store that is a folder here; others are not asked: that can take long."""
    from urllib.parse import unquote, urlsplit

    from launch_jobs.settings import load_settings

    url = urlsplit(load_settings().store_url)
    if url.scheme == "file":
        with os.scandir(os.path.join(unquote(url.path), "versions")) as entries:  # noqa: PTH118 - text
            yield from (entry.name for entry in entries)


def _asked(kind: str) -> Iterator[str]:
    """Names of launch queues, or of the newest runs, as the server tells them within a second."""
    import base64
    import json
    import urllib.request

    path, body = {
        "queue": ("work_pools/filter", {"limit": _MOST}),
        "run": ("flow_runs/filter", {"limit": _MOST, "sort": "EXPECTED_START_TIME_DESC"}),
    }[kind]
    url, login = _server()
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(f"{url}/{path}", json.dumps(body).encode(), headers)  # noqa: S310 - the user's own server
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
        found: list[dict[str, str]] = json.load(answer)
    yield from (entry["name"] for entry in found if kind == "run" or entry.get("type", "").startswith("launch-"))


def _server() -> tuple[str, str]:
    """Address and login, found without importing Prefect, which takes longer than a user waits."""
    from launch_jobs.local.connection import connection
    from launch_jobs.settings import load_settings

    named = os.environ.get("PREFECT_API_URL")
    if named:
        return named, os.environ.get("PREFECT_API_AUTH_STRING", "")
    to = connection(load_settings())
    return (to.api_url, to.auth_string) if to else ("", "")
