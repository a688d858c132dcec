"""`launch job …`: jobs in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.job_change import alias, delete, register
from launch_jobs.cli.job_create import create
from launch_jobs.cli.job_datasets import print_datasets
from launch_jobs.cli.job_diff import diff
from launch_jobs.cli.job_file import export, import_
from launch_jobs.cli.output import emit, facts, json_option, next_command, table
from launch_jobs.cli.session import Session, local_session

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.job import CaptureRecord, JobVersion, Parent


@click.group("job")
def job_command() -> None:
    """Look at jobs, make them, compare them, carry them elsewhere.

    JOB is name, name:v3, name:alias or name@sha256:…
    """


@job_command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the newest version of every job."""
    from launch_jobs.cli.present import ago_text, job_document, source_text

    store = local_session().store
    found = [(store.versions(name)[-1], store.aliases(name)) for name in store.names()]
    if as_json:
        emit([{**job_document(version), "aliases": {**aliases}} for version, aliases in found])
        return
    rows = [
        (version.label, source_text(version), version.digest[7:19], ago_text(version.created), ", ".join(aliases))
        for version, aliases in found
    ]
    table(("job", "source", "digest", "captured", "aliases"), rows)
    next_command(f"launch job show {found[0][0].name}" if found else "launch run -- python train.py")


@job_command.command()
@click.argument("job")
@json_option
def show(job: str, as_json: bool) -> None:
    """Show one job version: source, command, parameters, capture records."""
    session = local_session()
    version = session.job(job)
    records = session.store.records(version)
    if as_json:
        emit(_whole(session, version, records))
        return
    _print_job(session, version, records)
    next_command(f"launch submit {version.label} -q QUEUE")


def _whole(session: Session, version: JobVersion, records: list[CaptureRecord]) -> dict[str, JsonValue]:
    from launch_jobs.cli.present import job_document

    aliases = session.store.aliases(version.name)
    return {
        **job_document(version),
        "aliases": [alias for alias, number in aliases.items() if number == version.version],
        "versions": [f"v{one.version}" for one in session.store.versions(version.name)],
        "job": version.job.model_dump(mode="json"),
        "origin": version.origin.model_dump(mode="json"),
        "records": [record.model_dump(mode="json") for record in records],
        "made_from": [parent.model_dump(mode="json") for parent in _parents(records)],
    }


def _parents(records: list[CaptureRecord]) -> list[Parent]:
    """What the job was made from, in any of its captures."""
    return list(dict.fromkeys(parent for record in records for parent in record.parents))


def _print_job(session: Session, version: JobVersion, records: list[CaptureRecord]) -> None:
    import shlex

    from launch_jobs.arguments import subcommands_of
    from launch_jobs.cli.present import duration_text, pairs_text, parent_text, source_text

    job, aliases = version.job, session.store.aliases(version.name)
    facts(
        [
            ("job", version.label),
            ("digest", version.digest),
            ("aliases", ", ".join(alias for alias, number in aliases.items() if number == version.version)),
            ("versions", len(session.store.versions(version.name))),
            ("captured", version.created),
            ("source", source_text(version)),
            ("command", shlex.join((*job.entrypoint.argv, *subcommands_of(job.inputs)))),
            ("directory", job.entrypoint.directory),
            ("dockerfile", job.dockerfile),
            ("base image", job.base_image),
            ("python", job.environment.python),
            ("distributions", len(job.environment.distributions) or None),
            *(("made from", parent_text(parent)) for parent in _parents(records)),
        ]
    )
    _print_parameters(version)
    print_datasets(version, records)
    if records:
        click.echo()
        rows = [
            (record.started, pairs_text(record.parameters), record.exit_code, duration_text(record.duration_s))
            for record in records
        ]
        table(("tracked run", "parameters", "exit code", "duration"), rows)
    _print_notes(version, records)


def _print_notes(version: JobVersion, records: list[CaptureRecord]) -> None:
    """What is particular, each once, and whether the source was proven."""
    notes = list(dict.fromkeys((*version.origin.notes, *(note for record in records for note in record.notes))))
    if any(record.verified for record in records):
        notes.insert(0, "Verified: the source was rebuilt from the store, and was the one that ran.")
    if notes:
        click.echo()
    for note in notes:
        click.echo(f"- {note}")


def _print_parameters(version: JobVersion) -> None:
    from launch_jobs.arguments import allowed_text, properties_of
    from launch_jobs.cli.present import value_text

    properties = properties_of(version.job.inputs)
    if not properties:
        return
    click.echo()
    rows = [
        (name, allowed_text(schema), value_text(schema.get("default")), schema.get("description"))
        for name, schema in properties.items()
    ]
    table(("parameter (-p)", "allowed", "default", "meaning"), rows)


@job_command.command()
@click.argument("job")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@json_option
def checkout(job: str, directory: Path, as_json: bool) -> None:
    """Write a job's source tree, byte for byte, into a new folder."""
    from launch_jobs.capture.lineage import remember_checkout
    from launch_jobs.capture.source import checkout as write_tree
    from launch_jobs.cli.present import job_document

    session = local_session()
    version = session.job(job)
    write_tree(version, session.store, directory)
    remember_checkout(directory, version)
    if as_json:
        emit({**job_document(version), "directory": str(directory.absolute())})
        return
    facts([("job", version.label), ("directory", directory)])
    next_command(f"launch submit {version.label} -q QUEUE")


for _one in (create, diff, register, alias, delete, export, import_):
    job_command.add_command(_one)
