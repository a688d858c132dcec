"""The Prefect tasks: capture, build, execute. Compose your own flows from them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Unpack, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.tasks import TaskRunNameCallbackWithParameters

from launch_jobs import execution, preparation
from launch_jobs.artifacts import card_shown, show_end, show_results, show_unmade
from launch_jobs.client import wait_for
from launch_jobs.configured import configured_store, offer_git_account
from launch_jobs.context import LaunchContext, current_context, is_on_queue
from launch_jobs.errors import BuildError, LaunchError, Unavailable
from launch_jobs.graph import stand_in
from launch_jobs.job import JobVersion, Overrides
from launch_jobs.keywords import Keywords, submission_of
from launch_jobs.live_log import LAST_LINES
from launch_jobs.metrics import BUILD_SECONDS
from launch_jobs.output_log import RunOutput
from launch_jobs.preparation import Prepared, Resolved
from launch_jobs.registration import register
from launch_jobs.run import Failure, Outcome, RunInfo
from launch_jobs.runs import show_run, wait_run
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import JobStore
from launch_jobs.submission import submit
from launch_jobs.telling import name_run, told_building, told_running

_NAME_LENGTH = 100


def _context() -> LaunchContext:
    return current_context(flow_run.get_id(), load_settings)


def _store() -> JobStore:
    settings = load_settings()
    offer_git_account(settings)
    return configured_store(settings)


def _one_line(record: logging.LogRecord) -> bool:
    """Leave the traceback of our own errors out of a run's log: their one line says what to do."""
    if record.exc_info and isinstance(record.exc_info[1], LaunchError):
        record.exc_info = None
    return True


logging.getLogger("prefect.task_runs").addFilter(_one_line)


@task(name="resolve_job", cache_policy=NO_CACHE, persist_result=False)
async def resolve_job(job: str, overrides: Overrides) -> Resolved:
    """Find the job, check its parameters again, and render the queue's configuration."""
    context = _context()
    resolved = await preparation.resolve(context, job, overrides)
    await name_run(resolved.version, context.queue)
    return resolved


@task(name="build_image", cache_policy=NO_CACHE, persist_result=False)
async def build_image(resolved: Resolved) -> Prepared:
    """Build the job's image (Docker) or environment (process), or find it built."""
    context, last = _context(), deque[str](maxlen=LAST_LINES)
    try:
        with BUILD_SECONDS.labels(context.kind).time():
            async with told_building(resolved, container=context.kind != "process") as say:

                def keep(line: str) -> None:
                    last.append(line)
                    say(line)

                return await preparation.prepare(context, resolved, keep)
    except preparation.RunCancelled:
        raise
    except LaunchError as error:
        await show_unmade(resolved.version, _unmade(error, context.kind), error, list(last))
        if isinstance(error, preparation.NotStartedInTime) or (isinstance(error, Unavailable) and is_on_queue()):
            await execution.never_started(context, resolved, error)
        raise


def _unmade(error: LaunchError, kind: str) -> Failure:
    """What kind of failure it is that there is nothing to run in."""
    if isinstance(error, preparation.NotStartedInTime):
        return Failure.START
    if isinstance(error, Unavailable):
        return Failure.INFRASTRUCTURE
    is_build = kind == "process" or isinstance(error, BuildError | preparation.NotBuiltInTime)
    return Failure.BUILD if is_build else Failure.IMAGE


@task(name="execute_job", cache_policy=NO_CACHE, persist_result=False)
async def execute_job(resolved: Resolved, prepared: Prepared) -> Outcome:
    """Create or adopt the attempt's container or process, follow it to its end, bring its outputs home.

    Raises:
        RunEnded: the program did not end with exit code 0; so the task fails in the graph, too.
    """
    context = _context()
    async with told_running(context), card_shown(context, resolved, prepared):
        output = RunOutput()
        try:
            outcome = await execution.execute(context, resolved, prepared, output)
        except preparation.NotStartedInTime as error:
            await show_unmade(resolved.version, Failure.START, error, [])
            await execution.never_started(context, resolved, error)
    await show_results(context, resolved.version, outcome)
    await show_end(context, resolved.version, outcome, list(output.last))
    return await execution.completed(context, resolved, outcome)


@task(name="capture_source", cache_policy=NO_CACHE, persist_result=False)
async def capture_source(
    source: str, entrypoint: list[str], name: str | None = None, ref: str | None = None
) -> JobVersion:
    """Capture a git repository (URL or path) as a job version, without running it."""
    from launch_jobs.capture import capture_git

    def capture() -> JobVersion:
        return capture_git(source, entrypoint, store=_store(), name=name, ref=ref)

    # In a thread, for an agent's other runs go on in this loop.
    return await asyncio.to_thread(capture)


@task(name="register_job", cache_policy=NO_CACHE, persist_result=False)
async def register_job(version: JobVersion, queue: str) -> None:
    """Give a job its own deployment, with its parameter form, on its default queue."""
    await register(version, queue, await asyncio.to_thread(_store))


def _named(name: Callable[[Mapping[str, object]], str]) -> TaskRunNameCallbackWithParameters:
    """A function of a task's parameters as Prefect takes it: its type asks for a class, itself it takes a function."""
    return cast("TaskRunNameCallbackWithParameters", name)


def _capture_name(parameters: Mapping[str, object]) -> str:
    program, *words = cast("list[str]", parameters["entrypoint"])
    return " ".join(["capture", Path(program).name, *words])[:_NAME_LENGTH]


@task(name="capture_folder", task_run_name=_named(_capture_name), cache_policy=NO_CACHE, persist_result=False)
def capture_folder(folder: str | Path, entrypoint: list[str], name: str | None = None) -> JobVersion:
    """Capture a folder as a job version, without running it: its git work tree if it is in one, else its files."""
    from launch_jobs import capture

    return capture.capture_folder(folder, entrypoint, store=_store(), name=name)


def _run_name(parameters: Mapping[str, object]) -> str:
    """`train:v0 --lr=0.1`: what tells the runs of one flow apart."""
    job, keywords = parameters["job"], cast("Keywords", parameters["keywords"])
    label = job.label if isinstance(job, JobVersion) else str(job)
    given = (f"{name}={value}" for name, value in (keywords.get("parameters") or {}).items())
    return " ".join([label, *given, *(keywords.get("args") or ())])[:_NAME_LENGTH]


@task(name="submit_job", task_run_name=_named(_run_name), cache_policy=NO_CACHE, persist_result=False)
def submit_job(job: str | JobVersion, **keywords: Unpack[Keywords]) -> RunInfo:
    """Put a job on a launch queue and go on; see `Keywords` for what a run can be told."""
    return wait_for(_submit(job, keywords))


@task(name="run_job", task_run_name=_named(_run_name), cache_policy=NO_CACHE, persist_result=False)
def run_job(job: str | JobVersion, **keywords: Unpack[Keywords]) -> RunInfo:
    """Put a job on a launch queue and wait until it has run; see `Keywords` for what a run can be told.

    Raises:
        RunFailed: it did not complete; so the task fails in the graph, too.
    """
    return wait_for(_run(job, keywords)).completed()


async def _run(job: str | JobVersion, keywords: Keywords) -> RunInfo:
    info = await _submit(job, keywords)
    return await wait_run(info.id, _store())


async def _submit(job: str | JobVersion, keywords: Keywords) -> RunInfo:
    label = job.label if isinstance(job, JobVersion) else job
    parent = await stand_in(f"{label} on a launch queue")
    store = await asyncio.to_thread(_store)
    run = await submit(submission_of(job, keywords, parent=parent), store)
    get_run_logger().info("Run %s (%s) is on its queue", run.name, run.id)
    return await show_run(str(run.id), store)
