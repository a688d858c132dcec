"""`launch build`: what would be built for a job, or the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command
from launch_jobs.cli.session import Session, local_session, server_session, wait

if TYPE_CHECKING:
    from launch_jobs.build import BuildPlan
    from launch_jobs.job import JobVersion


@click.command("build")
@click.argument("job")
@click.option("--dry-run", is_flag=True, help="Print the plan only: Dockerfile, context, digests.")
@click.option("--registry", metavar="BLOCK", help="Registry block: push the image there, or find it there.")
@json_option
def build_command(job: str, dry_run: bool, registry: str | None, as_json: bool) -> None:
    """Build a job's image on this machine's Docker Engine, or find it built."""
    session = server_session() if registry else local_session()
    version = session.job(job)
    plan, image = wait(_plan_and_build(session, version, None if dry_run else registry, dry_run=dry_run))
    if as_json:
        emit({**plan.model_dump(mode="json"), "job": version.reference, "image": image})
    elif dry_run:
        _print_plan(plan)
        next_command(f"launch build {version.label}")
    else:
        facts([("image", plan.tag), ("reference" if registry else "id", image), ("digest", plan.digest)])
        next_command(f"launch submit {version.label} -q QUEUE")


async def _plan_and_build(
    session: Session, version: JobVersion, registry: str | None, *, dry_run: bool
) -> tuple[BuildPlan, str | None]:
    from launch_jobs.cli.progress import build_bar
    from launch_jobs.docker_access import docker_access, with_registry
    from launch_jobs.images import build_planned, docker_builder, plan_image

    access = await with_registry(await docker_access(session.settings), registry)
    builder = docker_builder(session.settings, access)
    plan = await plan_image(version, session.store, session.settings, builder)
    if dry_run:
        return plan, None
    with build_bar() as say:
        return plan, await build_planned(plan, version, session.store, builder, say)


def _print_plan(plan: BuildPlan) -> None:
    facts(
        [
            ("digest", plan.digest),
            ("environment digest", plan.environment_digest),
            ("tag", plan.tag),
            ("base", f"{plan.base.reference} ({plan.base.identity})"),
            ("platform", plan.platform),
            ("context", ", ".join([*plan.context, "source/"])),
        ]
    )
    for note in plan.notes:
        click.secho(note, fg="yellow")
    for title, text in (("environment image", plan.environment_dockerfile), ("job image", plan.dockerfile)):
        if text:
            click.secho(f"\n# Dockerfile of the {title}", dim=True)
            click.echo(text.rstrip())
