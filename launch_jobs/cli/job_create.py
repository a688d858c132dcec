"""`launch job create …`: jobs without a run, from a folder, a git repository or an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import click

from launch_jobs.cli.capture_bar import capture_bar
from launch_jobs.cli.output import emit, facts, json_option, next_command
from launch_jobs.cli.params import (
    DashedCommand,
    dashed_command,
    datasets_option,
    notebook_magics_option,
    secret_files_option,
)
from launch_jobs.cli.session import Session, local_session

if TYPE_CHECKING:
    from launch_jobs.capture.choices import Choices
    from launch_jobs.job import JobVersion

F = TypeVar("F", bound=Callable[..., object])


class _Named(TypedDict):
    name: str | None
    aliases: tuple[str, ...]
    as_json: bool


class _Given(_Named):
    python: str | None
    dockerfile: str | None
    build_context: str | None
    base_image: str | None
    schema: Path | None
    secret_files: tuple[str, ...]
    notebook_magics: bool
    datasets: tuple[tuple[str, str], ...]


@click.group("create")
def create() -> None:
    """Make a job without running it: from a folder, a git repository or an image."""


def _naming_options(command: F) -> F:
    alias = click.option("--alias", "aliases", multiple=True, help="Let this alias mean the version; repeatable.")
    name = click.option("--name", help="The job's name; default: the script's stem, or the image's name.")
    return name(alias(command))


def _source_options(command: F) -> F:
    options = (
        click.option("--python", metavar="3.x", help="Python version; default: that of the interpreter in CMD."),
        click.option("--dockerfile", metavar="F", help="Dockerfile in the source to build; default: one is made."),
        click.option(
            "--build-context",
            metavar="D",
            help="Take this folder of the source as the whole source; CMD and --dockerfile are relative to it.",
        ),
        click.option("--base-image", metavar="R", help="Image to build upon; default: the queue's."),
        click.option(
            "--schema",
            metavar="F",
            type=click.Path(path_type=Path),
            help="JSON schema of the parameters; the program gets their values as LAUNCH_PARAMETERS.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return datasets_option(secret_files_option(notebook_magics_option(command)))


@create.command("code", cls=DashedCommand)
@click.argument("path", type=click.Path(path_type=Path))
@_naming_options
@_source_options
@json_option
def create_code(path: Path, **given: Unpack[_Given]) -> None:
    """Make a job from a folder as it is."""
    from launch_jobs.capture.untracked import capture_code

    command, session = _needed_command(), local_session()
    _check_aliases(given["aliases"])
    with capture_bar() as say:
        say("Capturing the source")
        version = capture_code(path, command, store=session.store, name=given["name"], **_choices(given))
    _created(session, version, given)


@create.command("git", cls=DashedCommand)
@click.argument("repository", metavar="URL|PATH")
@click.option("--ref", help="Branch, tag or commit; default: HEAD.")
@_naming_options
@_source_options
@json_option
def create_git(repository: str, ref: str | None, **given: Unpack[_Given]) -> None:
    """Make a job from a commit of a git repository.

    Of a local one, with every uncommitted change.
    """
    from launch_jobs.capture.untracked import capture_git

    command, session = _needed_command(), local_session()
    _check_aliases(given["aliases"])
    choices = _choices(given)
    with capture_bar() as say:
        say("Capturing the source")
        version = capture_git(repository, command, store=session.store, name=given["name"], ref=ref, **choices)
    _created(session, version, given)


@create.command("image", cls=DashedCommand)
@click.argument("reference", metavar="REF")
@_naming_options
@json_option
def create_image(reference: str, **given: Unpack[_Named]) -> None:
    """Make a job from a ready image.

    Without -- CMD it runs the image's own command.
    """
    from launch_jobs.capture.image import capture_image

    command, session = dashed_command(), local_session()
    _check_aliases(given["aliases"])
    _created(session, capture_image(reference, list(command or ()), store=session.store, name=given["name"]), given)


def _needed_command() -> list[str]:
    words = dashed_command()
    if words is None:
        raise click.UsageError("The command is missing: end with -- CMD ARG...", click.get_current_context())
    return list(words)


def _choices(given: _Given) -> Choices:
    """What was said of the job, its schema read.

    Raises:
        BadInput: the schema's file is none.
    """
    from launch_jobs.capture.choices import read_schema

    return {
        "python": given["python"],
        "dockerfile": given["dockerfile"],
        "build_context": given["build_context"],
        "base_image": given["base_image"],
        "schema": read_schema(given["schema"]) if given["schema"] else None,
        "secret_files": given["secret_files"],
        "notebook_magics": given["notebook_magics"],
        "datasets": dict(given["datasets"]),
    }


def _check_aliases(aliases: tuple[str, ...]) -> None:
    """Before anything is made.

    Raises:
        BadInput: one cannot be an alias.
    """
    from launch_jobs.errors import BadInput
    from launch_jobs.names import check_name, is_version

    for alias in aliases:
        if is_version(check_name("job alias", alias)):
            raise BadInput(f"{alias!r} cannot be an alias: it reads as a version", do="Choose another word")


def _created(session: Session, version: JobVersion, given: _Named) -> None:
    from launch_jobs.cli.present import job_document, source_text

    aliases = given["aliases"]
    for alias in aliases:
        session.store.set_alias(version.name, alias, version.version)
    if given["as_json"]:
        emit({**job_document(version), "aliases": list(aliases)})
        return
    facts([("job", version.label), ("digest", version.digest), ("source", source_text(version))])
    next_command(f"launch submit {version.label} -q QUEUE")
