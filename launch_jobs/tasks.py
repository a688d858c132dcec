"""The Prefect tasks: capture, build, execute. Compose your own flows from them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.logging.loggers import PrefectLogAdapter
from prefect.runtime import flow_run

from launch_jobs import execution, preparation
from launch_jobs.context import LaunchContext, current_context
from launch_jobs.errors import LaunchError
from launch_jobs.job import JobVersion, Overrides
from launch_jobs.preparation import Prepared, Resolved
from launch_jobs.run import Outcome
from launch_jobs.runs import OUTPUT_LOGGER
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import open_store


def _context() -> LaunchContext:
    return current_context(flow_run.get_id(), load_settings)


def _output() -> Callable[[str], None]:
    logger = get_run_logger()
    return logger.getChild(OUTPUT_LOGGER).info if isinstance(logger, PrefectLogAdapter) else logger.info


def _one_line(record: logging.LogRecord) -> bool:
    """Leave the traceback of our own errors out of a run's log: their one line says what to do."""
    if record.exc_info and isinstance(record.exc_info[1], LaunchError):
        record.exc_info = None
    return True


logging.getLogger("prefect.task_runs").addFilter(_one_line)


@task(name="resolve_job", cache_policy=NO_CACHE, persist_result=False)
async def resolve_job(job: str, overrides: Overrides) -> Resolved:
    """Find the job, check its parameters again, and render the queue's configuration."""
    return await preparation.resolve(_context(), job, overrides)


@task(name="build_image", cache_policy=NO_CACHE, persist_result=False)
async def build_image(resolved: Resolved) -> Prepared:
    """Build the job's image (Docker) or environment (process), or find it built."""
    return await preparation.prepare(_context(), resolved, get_run_logger().info)


@task(name="execute_job", cache_policy=NO_CACHE, persist_result=False)
async def execute_job(resolved: Resolved, prepared: Prepared) -> Outcome:
    """Create or adopt the attempt's container or process, follow it to its end, bring its outputs home.

    Raises:
        RunEnded: the program did not end with exit code 0; so the task fails in the graph, too.
    """
    return execution.completed(await execution.execute(_context(), resolved, prepared, _output()))


@task(name="capture_source", cache_policy=NO_CACHE, persist_result=False)
def capture_source(source: str, entrypoint: list[str], name: str | None, ref: str | None) -> JobVersion:
    """Capture a git repository (URL or path) as a job version, without running it."""
    from launch_jobs.capture import capture_git

    return capture_git(source, entrypoint, store=open_store(load_settings().store_url), name=name, ref=ref)
