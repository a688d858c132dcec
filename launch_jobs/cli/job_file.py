"""`launch job export`, `import`: a job as one file, and jobs of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, warn
from launch_jobs.cli.params import DashedCommand, dashed_command
from launch_jobs.cli.session import local_session

if TYPE_CHECKING:
    from launch_jobs.foreign import Asked
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


@click.command("import", cls=DashedCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="The job's name here; default: a form of the name it had.")
@click.option("--entry-point", metavar="NAME", help="Of an MLflow project; default: main.")
@click.option(
    "--repository", metavar="URL|PATH", help="Where the source of a W&B job or run is, if not where it says: a clone."
)
@json_option
def import_(path: Path, name: str | None, entry_point: str | None, repository: str | None, as_json: bool) -> None:
    """Keep the job that a file or folder describes.

    A file that `launch job export` wrote; a W&B job (wandb-job.json) or run (wandb/run-...); an MLflow project
    (MLproject); a folder with a Dockerfile. Nothing in it is run. Importing again changes nothing. Another command than
    the one it names: after --.
    """
    from launch_jobs.foreign import Asked

    command, store = dashed_command(), local_session().store
    if path.is_dir():
        _import_folder(path, Asked(store, entry_point, repository, command or ()), name, as_json=as_json)
        return
    if entry_point or repository or command:
        raise click.UsageError("A job file holds all of its job: only --name can be said", click.get_current_context())
    from launch_jobs.portable import import_job

    done = import_job(path, store, name=name)
    _imported(done.version, new=done.new, as_json=as_json)


def _import_folder(path: Path, asked: Asked, name: str | None, *, as_json: bool) -> None:
    from launch_jobs.foreign.importing import import_folder

    done = import_folder(path, asked, name=name)
    for note in done.foreign.notes:
        warn(f"{note[0].upper()}{note[1:]}")
    _imported(done.version, new=done.new, as_json=as_json)


def _imported(version: JobVersion, *, new: bool, as_json: bool) -> None:
    from launch_jobs.cli.present import job_document, source_text

    if as_json:
        emit({**job_document(version), "new": new})
        return
    state = "imported" if new else "was there already"
    facts([("job", version.label), ("state", state), ("digest", version.digest), ("source", source_text(version))])
    next_command(f"launch job show {version.label}")
