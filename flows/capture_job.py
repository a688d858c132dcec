"""The capture flow: a git repository becomes a job version, without being run."""

from __future__ import annotations

from prefect import State, flow

from launch_jobs.endings import ended_state
from launch_jobs.errors import LaunchError
from launch_jobs.job import JobVersion
from launch_jobs.tasks import capture_source, register_job


@flow(name="capture-job", persist_result=False)
async def capture_job(
    source: str, entrypoint: list[str], name: str | None = None, ref: str | None = None, queue: str | None = None
) -> JobVersion | State[JobVersion]:
    """Capture a job from a repository.

    Args:
        source: URL of a git repository, or its path on the agent's machine.
        entrypoint: the command, as an argument vector.
        name: the job's name; default: the script's stem.
        ref: branch, tag or commit; default: the repository's HEAD.
        queue: launch queue that becomes the job's default: registers the job there, with its own form.
    """
    try:
        version = await capture_source(source, entrypoint, name, ref)
        if queue:
            await register_job(version, queue)
    except LaunchError as error:
        return ended_state(error)
    return version
