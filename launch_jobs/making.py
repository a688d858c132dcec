"""What an attempt is made of: its devices, secrets and data, its container or process; and its removal."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretBytes

from launch_jobs import run_secrets
from launch_jobs.context import LaunchContext
from launch_jobs.datasets import AnyDataset, CarriedDataset, cache_dataset, dataset_cache, fetch_datasets
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.patience import RETRY_SECONDS, reach, stored
from launch_jobs.preparation import (
    NotStartedInTime,
    Resolved,
    RunCancelled,
    is_mounted,
    not_there,
    staging_folder,
    unless_cancelled,
    within,
)
from launch_jobs.redaction import Redactor
from launch_jobs.run import Place
from launch_jobs.spool import log_path
from launch_jobs.targets import AttemptStatus, RunSpec, Scheduling
from launch_jobs.targets.devices import with_devices


def log_file(context: LaunchContext, attempt: str) -> Path:
    """Where an attempt's output is on its way home."""
    return log_path(context.settings, attempt)


async def with_own_devices(context: LaunchContext, spec: RunSpec, place: Place) -> RunSpec:
    """The spec with the devices that the run is given; an attempt that was started has its own.

    Raises:
        RunCancelled: the run was cancelled while it waited for them.
    """
    there = await reach(lambda: context.target.status(place)) if spec.gpus else None
    if not spec.gpus or (there is not None and there.state != "created"):
        return spec
    devices = await unless_cancelled(context, context.assign(spec.gpus))
    return with_devices(spec, devices) if devices else spec


async def with_secrets(context: LaunchContext, spec: RunSpec, place: Place) -> tuple[RunSpec, Redactor | None]:
    """The spec with the values of its secrets, and what hides them in the output.

    Whoever adopts an attempt hides what it was given. Where nobody knows that any more, all of the output is hidden.

    Raises:
        Refused, BadInput, Unavailable: a secret cannot be had, and nothing was started.
    """
    if not spec.secrets:
        return spec, None
    file = log_file(context, spec.name).with_suffix(".secrets")
    values = await asyncio.to_thread(run_secrets.kept, file)
    if values is None:
        try:
            given = await run_secrets.fetched(context.agent, context.queue, spec.secrets)
        except LaunchError:
            there = await reach(lambda: context.target.status(place))
            if there is None or there.state == "created":
                raise
            return spec, Redactor(None)
        await stored(run_secrets.keep, file, given)
        values = {one.name: one.value.get_secret_value() for one in given}
    filled = [one.model_copy(update={"value": SecretBytes(values[one.name])}) for one in spec.secrets]
    return spec.model_copy(update={"secrets": tuple(filled)}), Redactor(values.values())


async def ensured(
    context: LaunchContext, resolved: Resolved, spec: RunSpec, place: Place, *, waited_s: float
) -> AttemptStatus:
    """Create the attempt with its datasets, or adopt it; one that was started has them.

    Raises:
        RunCancelled: the run was cancelled while they were fetched.
        NotStartedInTime: its start deadline is over; nothing of it is left.
    """
    limit = resolved.configuration.start_deadline
    until = None if limit is None else time.monotonic() + max(0.0, limit - waited_s)
    is_kept = False
    try:
        if resolved.datasets:
            await _fetched(context, resolved, place, until)
        made = await _made(context, spec, place, limit, until)
    except (RunCancelled, NotStartedInTime):
        await clean(context, place, spec)
        raise
    else:
        is_kept = isinstance(context.target, Scheduling)  # who gets them may have yet to be given its machine
        return made
    finally:
        if resolved.datasets and not is_kept:
            await asyncio.to_thread(shutil.rmtree, staging_folder(context), ignore_errors=True)


async def _fetched(context: LaunchContext, resolved: Resolved, place: Place, until: float | None) -> None:
    """Have the datasets of an attempt that was not started yet, or not all of it."""
    there = await reach(lambda: context.target.status(place))
    if there is not None and there.state != "created" and not there.wants_datasets:
        return
    late = threading.Event()
    fetching = stored(_fetch, context, resolved, lambda: late.is_set() or context.cancelled.is_set())
    try:
        seconds = None if until is None else max(0.0, until - time.monotonic())
        error = not_there("its data", resolved.configuration.start_deadline)
        await unless_cancelled(context, within(seconds, fetching, error))
    finally:
        late.set()


async def _made(
    context: LaunchContext, spec: RunSpec, place: Place, limit: float | None, until: float | None
) -> AttemptStatus:
    """Create or adopt the attempt.

    Raises:
        NotStartedInTime: the infrastructure did not take it in time, and had not started it.
        RunCancelled: the run was cancelled meanwhile, and nothing of it runs.
    """
    while True:
        try:
            return await context.target.ensure(spec)
        except Unavailable:
            if context.cancelled.is_set() or (until is not None and time.monotonic() >= until):
                break
            await asyncio.sleep(RETRY_SECONDS)
    # Only the infrastructure knows what became of a call whose answer was lost.
    there = await reach(lambda: context.target.status(place))
    if there is not None and there.state != "created":
        return there
    if context.cancelled.is_set():
        raise RunCancelled("Cancelled before the program started")
    raise not_there("its container or process", limit, there.error if there else "")


def _fetch(context: LaunchContext, resolved: Resolved, is_cancelled: Callable[[], bool]) -> None:
    """Have each dataset on this host, proven, before anything is started."""
    copied, staging = list[AnyDataset](), staging_folder(context)
    for dataset in resolved.datasets:
        if isinstance(dataset, CarriedDataset) and is_mounted(resolved.configuration, dataset):
            cache_dataset(context.store, dataset, dataset_cache(context.settings.home), is_cancelled)
        else:
            copied.append(dataset)
    fetch_datasets(context.store, copied, staging, is_cancelled)


async def clean(context: LaunchContext, place: Place, spec: RunSpec) -> None:
    """Remove what an ended attempt leaves on its infrastructure."""
    await reach(lambda: context.target.remove(place))
    if spec.datasets:
        await asyncio.to_thread(shutil.rmtree, staging_folder(context), ignore_errors=True)
    if spec.source:
        await asyncio.to_thread(shutil.rmtree, spec.source, ignore_errors=True)
    await forget_secrets(context, spec)


async def forget_secrets(context: LaunchContext, spec: RunSpec) -> None:
    """Delete what was kept for whoever adopts the attempt."""
    await asyncio.to_thread(log_file(context, spec.name).with_suffix(".secrets").unlink, missing_ok=True)
