"""The launch flow: resolve a job, build what it needs, execute it. Agents run it; Python may call it."""

from __future__ import annotations

from prefect import State, flow
from pydantic import JsonValue

from launch_jobs.endings import completed_state, ended_state
from launch_jobs.errors import LaunchError
from launch_jobs.job import Overrides
from launch_jobs.run import Outcome
from launch_jobs.tasks import build_image, execute_job, resolve_job


# `Overrides` validates; Prefect would build a model of the signature for each run.
@flow(name="launch-job", persist_result=False, validate_parameters=False)
async def launch_job(  # noqa: PLR0913, PLR0917 - the form that the Prefect UI shows
    job: str,
    parameters: dict[str, JsonValue] | None = None,
    args: list[str] | None = None,
    env: dict[str, str] | None = None,
    entrypoint: list[str] | None = None,
    timeout: float | None = None,
    datasets: dict[str, str] | None = None,
    retries: int | None = None,
) -> Outcome | State[Outcome]:
    """Run a job to its end, and end as it ended.

    Args:
        job: name, name:v3, name:alias or name@sha256:…
        parameters: hyperparameters; what is not given keeps its captured value.
        args: appended to the command.
        env: environment variables of the program.
        entrypoint: replaces the job's command.
        timeout: maximum runtime in seconds.
        datasets: name → outputs://<run id>/<attempt>[/<path>], what another run left.
        retries: further attempts after one that failed or crashed.
    """
    overrides = Overrides.of(
        parameters=parameters,
        args=args,
        env=env,
        entrypoint=entrypoint,
        timeout_s=timeout,
        datasets=datasets,
        retries=retries,
    )
    try:
        resolved = await resolve_job(job, overrides)
        prepared = await build_image(resolved)
        return completed_state(await execute_job(resolved, prepared))
    except LaunchError as error:
        return ended_state(error)
