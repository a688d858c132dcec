"""`launch job diff`: what is different between two jobs."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, json_option, next_command, printable
from launch_jobs.cli.session import Session, local_session

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.difference import Change, Difference, FileChange, FileState, Side
    from launch_jobs.job import JobVersion, TreeEntry

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
"""A whole digest tells people no more than its beginning, as for files; JSON has it."""

_MOST_LINES = 400
"""With more changed lines, the list of files would be lost among them."""

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


@click.command("diff")
@click.argument("before", metavar="JOB")
@click.argument("after", metavar="JOB")
@click.option("--lines", is_flag=True, help="Show every changed line, however many there are.")
@json_option
def diff(before: str, after: str, lines: bool, as_json: bool) -> None:
    """Show what is different from one job to another.

    Source, command, environment, parameters, datasets, and the values of the latest tracked runs: + added, - removed,
    ~ changed. The exit code is 0 with and without differences.
    """
    from launch_jobs.cli.present import job_document
    from launch_jobs.difference import compare

    session = local_session()
    old, new = session.job(before), session.job(after)
    with tempfile.TemporaryDirectory(prefix="launch-diff-") as folder:
        trees = _trees(session, old, new, Path(folder))
        found = compare(_side(session, old, trees[0]), _side(session, new, trees[1]))
    if as_json:
        emit({"before": job_document(old), "after": job_document(new), **found.model_dump(mode="json")})
        return
    _print(old, new, found)
    _print_files(found.files, every=lines)
    next_command(f"launch submit {new.label} -q QUEUE")


def _trees(session: Session, old: JobVersion, new: JobVersion, folder: Path) -> tuple[Path | None, Path | None]:
    """Both sources written out; none where there is nothing to compare, so that no remote need be asked."""
    from launch_jobs.capture.source import checkout

    sources = [one.job.source for one in (old, new)]
    trees = [None if source.type == "image" else source.tree for source in sources]
    if trees[0] == trees[1]:
        return None, None
    written: list[Path | None] = []
    for version, tree, name in zip((old, new), trees, ("before", "after"), strict=True):
        if tree is not None:
            checkout(version, session.store, folder / name)
        written.append(folder / name if tree is not None else None)
    return written[0], written[1]


def _side(session: Session, version: JobVersion, tree: Path | None) -> Side:
    from launch_jobs.capture.tree import scan_tree
    from launch_jobs.difference import LARGEST_TEXT, Side

    def path(entry: TreeEntry) -> Path:
        return (tree or Path()) / entry.path

    def read(entry: TreeEntry) -> bytes:
        if entry.mode == "link":
            return os.fsencode(path(entry).readlink())
        with path(entry).open("rb") as file:
            return file.read(LARGEST_TEXT + 1)

    def size(entry: TreeEntry) -> int:
        return path(entry).lstat().st_size

    files = {entry.path: entry for entry in scan_tree(tree)} if tree else {}
    records = session.store.records(version)
    return Side(version, files, read, size, records[-1] if records else None)


def _print(old: JobVersion, new: JobVersion, found: Difference) -> None:
    click.secho(f"{old.label} → {new.label}", bold=True)
    if found.same:
        click.echo("The same job: source, command, environment and parameters are equal")
    for title, changes in (
        ("job", found.job),
        ("environment", found.environment),
        ("parameters", found.parameters),
        ("datasets", found.datasets),
        ("captured values", found.captured),
    ):
        _print_changes(title, changes)


def _print_changes(title: str, changes: tuple[Change, ...]) -> None:
    if changes:
        click.secho(f"\n{title}", bold=True)
    for change in changes:
        _line(change.kind, _DIGEST.sub(r"\1", f"{change.name} {_values(change.before, change.after)}"))


def _values(before: JsonValue, after: JsonValue) -> str:
    """`0.1 → 0.2`; of two descriptions, such as a parameter's, what differs in them: `type number → integer`."""
    from launch_jobs.cli.present import value_text

    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name} {_values(before.get(name, '-'), after.get(name, '-'))}" for name in names)
    return " → ".join(value_text(value) for value in (before, after) if value is not None)


def _line(kind: str, text: str) -> None:
    sign, colour = _SIGNS[kind]
    click.secho(f"{sign} {printable(text)}", fg=colour)


def _print_files(changes: tuple[FileChange, ...], *, every: bool) -> None:
    if not changes:
        return
    click.secho("\nsource", bold=True)
    shown = every or sum(len(change.diff) for change in changes) <= _MOST_LINES
    for change in changes:
        _print_file(change, lines=shown)
    if not shown:
        click.echo("Many lines changed: --lines shows them")


def _print_file(change: FileChange, *, lines: bool) -> None:
    states = [_state(state) for state in (change.before, change.after) if state]
    added, removed = (sum(line.startswith(sign) for line in change.diff[2:]) for sign in "+-")
    count = f" +{added} -{removed}" if change.diff else ""
    _line(change.kind, f"{change.path} {' → '.join(dict.fromkeys(states))}{count}")
    for line in change.diff[2:] if lines else ():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
        click.secho(f"    {printable(line)}", fg=colour, dim=colour is None)


def _state(state: FileState) -> str:
    from launch_jobs.cli.present import size_text

    mode = "" if state.mode == "644" else f", {'link' if state.mode == 'link' else 'executable'}"
    return f"({size_text(state.size)}{mode}, {state.digest[7:19]})"
