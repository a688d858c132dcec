"""`launch job export`, `import`: a job as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, warn
from launch_jobs.cli.session import local_session

if TYPE_CHECKING:
    from launch_jobs.job import JobVersion


@click.command("export")
@click.argument("job")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def export(job: str, file: Path, as_json: bool) -> None:
    """Write a job with its whole source and its capture records into one file.

    Another machine needs nothing else to run it: no server, store or git remote of yours. The same job is always the
    same file.
    """
    from launch_jobs.cli.present import job_document, size_text
    from launch_jobs.portable import export_job

    session = local_session()
    version = session.job(job)
    made = export_job(version, session.store, file)
    if as_json:
        emit({**job_document(version), "file": made.model_dump(mode="json")})
        return
    _warn_of_engine(version)
    facts([("job", version.label), ("file", file), ("size", size_text(made.size)), ("sha256", made.digest[7:])])
    next_command(f"launch job import {file}")


def _warn_of_engine(version: JobVersion) -> None:
    source = version.job.source
    if source.type == "image" and source.digest is None:
        warn(f"The image {source.reference} is in no registry: the job runs only where that very image is")


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="The job's name here; default: the name it had.")
@json_option
def import_(path: Path, name: str | None, as_json: bool) -> None:
    """Keep the job of a file that `launch job export` wrote.

    Everything in the file is checked first, and nothing in it is run. Importing again changes nothing.
    """
    from launch_jobs.cli.present import job_document, source_text
    from launch_jobs.portable import import_job

    done = import_job(path, local_session().store, name=name)
    version = done.version
    if as_json:
        emit({**job_document(version), "new": done.new})
        return
    state = "imported" if done.new else "was there already"
    facts(
        [("job", version.label), ("state", state), ("digest", version.digest), ("source", source_text(version))],
    )
    next_command(f"launch job show {version.label}")
