"""`launch job register`, `alias`, `delete`: what a job is called, how it is launched, and its end."""

from __future__ import annotations

import sys

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command
from launch_jobs.cli.params import assignment
from launch_jobs.cli.session import Session, local_session, server_session, wait
from launch_jobs.errors import BadInput, NotFound


@click.command("register")
@click.argument("job")
@click.option("-q", "--queue", required=True, help="Launch queue; the job's default from now on.")
@click.option(
    "-p",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    type=assignment,
    help="Another default in the job's form; repeatable.",
)
@json_option
def register(job: str, queue: str, parameters: tuple[tuple[str, str], ...], as_json: bool) -> None:
    """Give a job its own deployment: its form in the UI, on this queue.

    The form's defaults are the values of the latest tracked run. Submits move the deployment to newer versions.
    """
    session = server_session()
    version = session.job(job)
    from launch_jobs.registration import register as make

    made = wait(make(version, queue, session.store, texts=dict(parameters)))
    if as_json:
        emit(made.model_dump(mode="json"))
        return
    from launch_jobs.cli.present import pairs_text

    defaults = pairs_text(made.parameters)
    facts([("job", made.job_label), ("deployment", made.deployment), ("queue", made.queue), ("defaults", defaults)])
    next_command(f"launch submit {version.name}")


@click.command("alias")
@click.argument("job")
@click.argument("name")
@click.option("--delete", is_flag=True, help="Remove the alias instead; JOB must be what it means.")
@json_option
def alias(job: str, name: str, delete: bool, as_json: bool) -> None:
    """Let an alias mean a job version, whatever it meant before.

    The alias latest follows the version captured last, and is not for you to set.
    """
    from launch_jobs.cli.present import job_document
    from launch_jobs.store.jobs import LATEST

    if name == LATEST:
        raise BadInput(f"The alias {LATEST} follows the version captured last", do="Choose another word")
    session = local_session()
    version = session.job(job)
    if delete:
        _delete_alias(session, version.name, name, version.version)
    else:
        session.store.set_alias(version.name, name, version.version)
    if as_json:
        emit({**job_document(version), "alias": name, "deleted": delete})
        return
    click.echo(f"{version.name}:{name} {'is no more' if delete else f'means {version.label}'}")
    next_command(f"launch job show {version.name}" if delete else f"launch submit {version.name}:{name} -q QUEUE")


def _delete_alias(session: Session, job: str, name: str, number: int) -> None:
    aliases = session.store.aliases(job)
    if name not in aliases:
        there = ", ".join(sorted(aliases))
        raise NotFound(f"job {job!r} has no alias {name!r}", do=f"It has {there}")
    if aliases[name] != number:
        raise BadInput(f"{job}:{name} means v{aliases[name]}, not v{number}", do=f"Name {job}:{name} itself as JOB")
    session.store.delete_alias(job, name)


@click.command("delete")
@click.argument("job")
@click.option("--all", "every", is_flag=True, help="The whole job, all versions and its deployment; JOB is its name.")
@click.option("--drop-aliases", is_flag=True, help="Remove the version's aliases, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(job: str, *, every: bool, drop_aliases: bool, yes: bool, as_json: bool) -> None:
    """Delete one version of a job, or with --all the whole job.

    Refused while queued or active runs need it, or an alias means the version. Runs that are over keep their records,
    logs and outputs.
    """
    session = server_session()
    name, number = _chosen(session, job, every=every)
    what = f"all versions of {name}" if number is None else f"{name}:v{number}"
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {what}? This cannot be undone", abort=True, err=True)
    from launch_jobs.registration import delete_job

    gone = wait(delete_job(session.store, name, number, drop_aliases=drop_aliases))
    if as_json:
        emit({"name": name, "deleted": [f"v{one}" for one in gone]})
        return
    click.echo(f"Deleted {what}")
    next_command("launch job list")


def _chosen(session: Session, job: str, *, every: bool) -> tuple[str, int | None]:
    """Name and version number that are meant, None for all; no version is read, so that a damaged one can go."""
    from launch_jobs.names import JobRef, is_version

    ref = JobRef.parse(job)
    if every and job != ref.name:
        raise BadInput(f"{job!r} names a version", do=f"Write launch job delete {ref.name} --all")
    if job == ref.name and not every:
        raise BadInput(f"{job!r} names no version", do=f"Write {job}:v0, or --all for the whole job")
    if every and session.store.numbers(ref.name):
        return ref.name, None
    if is_version(ref.selector) and int(ref.selector[1:]) in session.store.numbers(ref.name):
        return ref.name, int(ref.selector[1:])
    return ref.name, session.store.resolve(ref).version
