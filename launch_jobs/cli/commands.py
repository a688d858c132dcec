"""The tree of commands; each command's module is imported when the command is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from launch_jobs.cli.completion import complete_names

_COMMANDS = {
    "up": "server",
    "down": "server",
    "connect": "connect",
    "env": "server",
    "ui": "server",
    "init": "server",
    "doctor": "server",
    "run": "run",
    "submit": "submit",
    "list": "runs",
    "show": "runs",
    "logs": "logs",
    "outputs": "runs",
    "cancel": "runs",
    "retry": "runs",
    "why": "why",
    "job": "jobs",
    "build": "build",
    "queue": "queues",
    "agent": "agent",
    "check": "check",
    "prune": "prune",
    "completion": "completion",
}
"""Command → module of this package; the function there has the command's name and the ending `_command`."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"launch_jobs.cli.{_COMMANDS[cmd_name]}")
        found: object = getattr(module, f"{cmd_name}_command")
        if not isinstance(found, click.Command):
            return None
        complete_names(found)
        return found


@click.command(cls=LazyGroup)
@click.version_option(package_name="launch-jobs", message="Launch Jobs %(version)s")
def launch() -> None:
    """Capture a job from a run, queue it, and run it on any machine.

    Begin with `launch up`, then `launch run -- python train.py`.
    """
