"""The build flow: make a job's image (or environment) ahead of its first run."""

from __future__ import annotations

from prefect import State, flow

from launch_jobs.endings import ended_state
from launch_jobs.errors import LaunchError
from launch_jobs.job import Overrides
from launch_jobs.preparation import Prepared
from launch_jobs.tasks import build_image as build
from launch_jobs.tasks import resolve_job


@flow(name="build-image", persist_result=False)
async def build_image(job: str) -> Prepared | State[Prepared]:
    """Build what a job needs on this queue's builder, or find it built.

    Args:
        job: name, name:v3, name:alias or name@sha256:…
    """
    try:
        return await build(await resolve_job(job, Overrides()))
    except LaunchError as error:
        return ended_state(error)
