"""The tree of commands: quick to load, documented, and what DESIGN 9 names."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import click
import pytest

from launch_jobs.cli.commands import launch

ROOT = Path(__file__).parents[2]
HEAVY = ("prefect", "pydantic", "docker", "git", "rich", "asyncio", "httpx", "boto3")


def _paths(command: click.Command, name: str) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [(name,)]
    context = click.Context(command)
    below: list[tuple[str, ...]] = []
    for sub in command.list_commands(context):
        found = command.get_command(context, sub)
        assert found is not None
        below += [(name, *path) for path in _paths(found, sub)]
    return [(name,), *below]


COMMANDS = [path[1:] for path in _paths(launch, "launch")]


def _help(*path: str) -> str:
    context = click.Context(launch, info_name="launch")
    command: click.Command = launch
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    return command.get_help(context)


def test_help_imports_nothing_heavy() -> None:
    """`launch --help` is quick because nothing heavy is imported for it, though every command is listed."""
    code = (
        "import sys; sys.argv = ['launch', '--help']\nfrom launch_jobs.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    import json; print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "launch_jobs.cli.submit" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    """Every command says what it does in its first line of help."""
    lines = _help(*path).splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(['launch', *path])}")
    assert lines[2].strip().endswith(".")


@pytest.mark.parametrize(
    "path", [path for path in COMMANDS if path not in {(), ("job",), ("queue",), ("job", "create")}]
)
def test_every_command_takes_json(path: tuple[str, ...]) -> None:
    """Every command that does something takes --json."""
    assert "--json" in _help(*path)


def test_the_commands_of_the_design_are_there() -> None:
    """The walking road's commands, as DESIGN 9 names them."""
    road = {"up", "down", "env", "ui", "init", "run", "submit", "list", "show", "logs", "outputs", "cancel", "build"}
    queue = {("queue", verb) for verb in ("create", "list", "show", "pause", "resume", "delete")}
    verbs = ("list", "show", "diff", "checkout", "register", "alias", "delete", "export", "import")
    job = {*(("job", verb) for verb in verbs), *(("job", "create", kind) for kind in ("git", "code", "image"))}
    assert {(name,) for name in (*road, "agent", "doctor")} | queue | job <= set(COMMANDS)


def test_documentation_is_in_step() -> None:
    """docs/cli.md is what scripts/cli-docs makes of the commands."""
    made = runpy.run_path(str(ROOT / "scripts" / "cli-docs"))["render"]()
    assert (ROOT / "docs" / "cli.md").read_text() == made, "run scripts/cli-docs"
