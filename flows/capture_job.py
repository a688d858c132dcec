"""The capture flow: a git repository becomes a job version, without being run."""

from __future__ import annotations

from prefect import flow

from launch_jobs.job import JobVersion
from launch_jobs.tasks import capture_source


@flow(name="capture-job", persist_result=False)
def capture_job(source: str, entrypoint: list[str], name: str | None = None, ref: str | None = None) -> JobVersion:
    """Capture a job from a repository.

    Args:
        source: URL or path of a git repository.
        entrypoint: the command, as an argument vector.
        name: the job's name; default: the script's stem.
        ref: branch, tag or commit; default: the repository's HEAD.
    """
    return capture_source(source, entrypoint, name, ref)
