"""The last step of a run: create or adopt its attempt, follow it to its end, bring its results home."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from pydantic import SecretBytes

from launch_jobs import crashpoints, run_secrets
from launch_jobs.context import Labels, LaunchContext
from launch_jobs.datasets import AnyDataset, CarriedDataset, cache_dataset, dataset_cache, fetch_datasets
from launch_jobs.diagnosis import diagnosed
from launch_jobs.errors import LaunchError, NotFound, Unavailable
from launch_jobs.job import JobVersion
from launch_jobs.live_log import LiveLog, Sink, Telling, last_lines
from launch_jobs.names import attempt_name
from launch_jobs.preparation import (
    NotStartedInTime,
    Prepared,
    Resolved,
    RunCancelled,
    is_mounted,
    not_there,
    render,
    staging_folder,
    unless_cancelled,
    within,
)
from launch_jobs.redaction import Redactor
from launch_jobs.results import gather_outputs
from launch_jobs.run import Outcome, Outputs, Place, Reason, Retry, RetryPolicy, RunState, Stopped, next_attempt
from launch_jobs.settings import LaunchSettings
from launch_jobs.spool import Spool, remove_spool
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets import AttemptStatus, EventTeller, RunSpec, Scheduling, Target
from launch_jobs.targets.devices import with_devices

P = ParamSpec("P")
T = TypeVar("T")
_RETRY_SECONDS = 2.0
_CANCEL_GRACE_SECONDS = 10.0


class RunEnded(LaunchError):
    """The attempt ended otherwise than by exit code 0; `outcome` says how, `retry` whether another one follows."""

    exit_code = 1

    def __init__(self, outcome: Outcome, retry: Retry | None = None) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome
        self.retry = retry


async def execute(context: LaunchContext, resolved: Resolved, prepared: Prepared, output: Sink) -> Outcome:
    """Create or adopt the attempt, follow it to its end, bring its outputs home, write its outcome once.

    The returned outcome may be any end; nothing of the attempt is removed before its outcome is in the store.

    Raises:
        BadInput: the image does not exist, or the engine refuses the container.
    """
    done = await asyncio.to_thread(context.store.outcome, context.run, context.attempt)
    place = await _reach(lambda: context.target.place(attempt_name(context.run, context.attempt)))
    spec = render(context, resolved, prepared, place)
    if isinstance(context.target, Scheduling):
        place = await context.target.place_of(spec)
    if done is not None:
        await _finish(context, place, spec, output)
        return done
    await _record_place(context, resolved.version, place)
    spec = await _with_devices(context, spec, place)
    spec, hide = await _with_secrets(context, spec, place)
    try:
        status = await _ensure(context, resolved, spec, place, waited_s=prepared.waited_s)
    except LaunchError:
        await _forget_secrets(context, spec)
        raise
    crashpoints.reach("start.after")
    spool = Spool(log_file(context, spec.name), hide=hide)
    limit = resolved.overrides.timeout_s or resolved.configuration.timeout
    async with Telling(LiveLog(spool.path, context.run, output)) as live:
        status, halt = await started(context, resolved, place, status, spec.stop_grace_s)
        halt = halt or await _follow(context, place, spool, _seconds_left(status, limit), spec.stop_grace_s)
        crashpoints.reach("exit.after")
        live.output_is_whole()
        outcome = await _bring_home(context, resolved, spec, place, halt)
        crashpoints.reach("outputs.after")
        outcome = outcome.model_copy(update={"image": prepared.image, "parameters": resolved.overrides.parameters})
        outcome = diagnosed(outcome, await asyncio.to_thread(last_lines, spool.path))
        outcome = await _with_events(context.target, place, outcome)
        outcome = await _written(context, outcome, spool)
        await clean(context, place, spec)
        await live.last_words()
    spool.remove()
    crashpoints.reach("remove.after")
    return outcome


async def _with_events(target: Target, place: Place, outcome: Outcome) -> Outcome:
    """The outcome of a failure with what the infrastructure remembers; that it remembers nothing is no error."""
    if outcome.failure is None or not isinstance(target, EventTeller):
        return outcome
    with suppress(LaunchError):
        return outcome.model_copy(update={"events": await target.events(place)})
    return outcome


async def _finish(context: LaunchContext, place: Place, spec: RunSpec, output: Sink) -> None:
    """Do what an agent may have died before once it had recorded the end: send the rest of the log, and clean up."""
    log = log_file(context, spec.name)
    if not log.exists():
        await clean(context, place, spec)
        return
    async with Telling(LiveLog(log, context.run, output)) as live:
        await _keep_log(context, log)
        await clean(context, place, spec)
        await live.last_words()
    remove_spool(log)


async def _keep_log(context: LaunchContext, log: Path) -> None:
    """Keep what was read of an attempt that was lost; of one that ended, the store has the whole."""
    with tempfile.TemporaryDirectory(prefix="launch-log-") as folder:
        if not await _stored(context.store.get_log, context.run, context.attempt, Path(folder) / "log"):
            await _stored(context.store.put_log, context.run, context.attempt, log)


def log_file(context: LaunchContext, attempt: str) -> Path:
    """Where an attempt's output is on its way home."""
    return log_path(context.settings, attempt)


def log_path(settings: LaunchSettings, attempt: str) -> Path:
    """The same, of any attempt on this host; the file is made as soon as its container or process is there."""
    return settings.home / "logs" / "runs" / f"{attempt}.log"


async def _with_devices(context: LaunchContext, spec: RunSpec, place: Place) -> RunSpec:
    """The spec with the devices that the run is given; an attempt that was started has its own.

    Raises:
        RunCancelled: the run was cancelled while it waited for them.
    """
    there = await _reach(lambda: context.target.status(place)) if spec.gpus else None
    if not spec.gpus or (there is not None and there.state != "created"):
        return spec
    devices = await unless_cancelled(context, context.assign(spec.gpus))
    return with_devices(spec, devices) if devices else spec


async def _with_secrets(context: LaunchContext, spec: RunSpec, place: Place) -> tuple[RunSpec, Redactor | None]:
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
            there = await _reach(lambda: context.target.status(place))
            if there is None or there.state == "created":
                raise
            return spec, Redactor(None)
        await _stored(run_secrets.keep, file, given)
        values = {one.name: one.value.get_secret_value() for one in given}
    filled = [one.model_copy(update={"value": SecretBytes(values[one.name])}) for one in spec.secrets]
    return spec.model_copy(update={"secrets": tuple(filled)}), Redactor(values.values())


async def _forget_secrets(context: LaunchContext, spec: RunSpec) -> None:
    await asyncio.to_thread(log_file(context, spec.name).with_suffix(".secrets").unlink, missing_ok=True)


async def _written(context: LaunchContext, outcome: Outcome, spool: Spool) -> Outcome:
    """Put the whole log and the outcome into the store."""
    await _stored(context.store.put_log, context.run, context.attempt, spool.path)
    crashpoints.reach("outcome.before")
    outcome = await _stored(context.store.put_outcome, outcome)
    crashpoints.reach("outcome.after")
    return outcome


async def _record_place(context: LaunchContext, version: JobVersion, place: Place) -> None:
    """Write down where the attempt will live, before anything is there."""
    crashpoints.reach("place.before")
    labels: Labels = {"launch.attempt": context.attempt, "launch.place": str(place)}
    await context.record({**labels, "launch.job": version.reference, "launch.job-label": version.label})
    crashpoints.reach("place.after")


async def _ensure(
    context: LaunchContext, resolved: Resolved, spec: RunSpec, place: Place, *, waited_s: float
) -> AttemptStatus:
    """Create the attempt with its datasets, or adopt it; one that was started has them.

    Raises:
        RunCancelled: the run was cancelled while they were fetched.
        NotStartedInTime: its start deadline is over; nothing of it is left.
    """
    limit = resolved.configuration.start_deadline
    until = None if limit is None else time.monotonic() + max(0.0, limit - waited_s)
    staging = staging_folder(context)
    try:
        if resolved.datasets:
            await _fetched(context, resolved, place, until)
        if made := await _made(context, spec, place, until):
            return made
        raise not_there("its container or process", limit)
    except (RunCancelled, NotStartedInTime):
        await clean(context, place, spec)
        raise
    finally:
        if resolved.datasets:  # the target has them by now
            await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)


async def _fetched(context: LaunchContext, resolved: Resolved, place: Place, until: float | None) -> None:
    """Have the datasets of an attempt that was not started yet."""
    there = await _reach(lambda: context.target.status(place))
    if there is not None and there.state != "created":
        return
    late = threading.Event()
    fetching = _stored(_fetch, context, resolved, lambda: late.is_set() or context.cancelled.is_set())
    try:
        seconds = None if until is None else max(0.0, until - time.monotonic())
        error = not_there("its data", resolved.configuration.start_deadline)
        await unless_cancelled(context, within(seconds, fetching, error))
    finally:
        late.set()


async def _made(context: LaunchContext, spec: RunSpec, place: Place, until: float | None) -> AttemptStatus | None:
    """Create or adopt the attempt; None: the infrastructure did not answer in time, and then had not started it."""
    while True:
        try:
            return await context.target.ensure(spec)
        except Unavailable:
            if until is not None and time.monotonic() >= until:
                break
            await asyncio.sleep(_RETRY_SECONDS)
    # Only the infrastructure knows what became of a call whose answer was lost.
    there = await _reach(lambda: context.target.status(place))
    return there if there is not None and there.state != "created" else None


def _fetch(context: LaunchContext, resolved: Resolved, is_cancelled: Callable[[], bool]) -> None:
    """Have each dataset on this host, proven, before anything is started."""
    copied, staging = list[AnyDataset](), staging_folder(context)
    for dataset in resolved.datasets:
        if isinstance(dataset, CarriedDataset) and is_mounted(resolved.configuration, dataset):
            cache_dataset(context.store, dataset, dataset_cache(context.settings.home), is_cancelled)
        else:
            copied.append(dataset)
    fetch_datasets(context.store, copied, staging, is_cancelled)


async def completed(context: LaunchContext, resolved: Resolved, outcome: Outcome) -> Outcome:
    """The outcome if it is a completed one.

    Raises:
        RunEnded: it is another; with what the policy of queue and run says to it.
    """
    if outcome.state is RunState.COMPLETED:
        return outcome
    earlier = [await _stored(context.store.outcome, context.run, attempt) for attempt in range(1, outcome.attempt)]
    reasons = tuple(one.reason for one in earlier if one)
    raise RunEnded(outcome, next_attempt(retry_policy(resolved), outcome.reason, reasons))


async def never_started(context: LaunchContext, resolved: Resolved, why: LaunchError) -> NoReturn:
    """End an attempt of which nothing was made, or not in time: recorded as any other, so that the policy counts it.

    Raises:
        RunEnded: always.
    """
    place = await _reach(lambda: context.target.place(attempt_name(context.run, context.attempt)))
    await _record_place(context, resolved.version, place)
    lost = lost_outcome(context.run, context.attempt, str(place))
    reason = Reason.START_DEADLINE if isinstance(why, NotStartedInTime) else Reason.INFRASTRUCTURE
    end = {"reason": reason, "message": str(why), "parameters": resolved.overrides.parameters}
    outcome = diagnosed(lost.model_copy(update=end), ())
    await completed(context, resolved, await _stored(context.store.put_outcome, outcome))
    raise why


def retry_policy(resolved: Resolved) -> RetryPolicy:
    """The run's own retries, and the queue's where it has a word to say. Pure."""
    queue = resolved.configuration
    own = resolved.overrides.retries or queue.failure_retries or 0

    def number(of_queue: int | None) -> int:
        return own if of_queue is None else of_queue

    return RetryPolicy(
        failures=own,
        memory=number(queue.memory_retries),
        timeouts=number(queue.timeout_retries),
        infrastructure=number(queue.infrastructure_retries),
        preemptions=number(queue.preemption_retries),
    )


async def started(
    context: LaunchContext, resolved: Resolved, place: Place, status: AttemptStatus, grace_s: float
) -> tuple[AttemptStatus, Halt | None]:
    """Wait until an attempt that is given its machine by others has started, or is over; end it on cancel or too late.

    Its time limit counts from the start, the start deadline from when it was made.
    """
    target = context.target
    if status.state != "created" or not isinstance(target, Scheduling):
        return status, None
    told = [""]

    async def listen() -> None:
        async for reason in target.waiting(place):
            told[0] = reason

    listening = asyncio.ensure_future(_reach(listen))
    asked = asyncio.ensure_future(context.cancelled.wait())
    limit = _since(status.created, resolved.configuration.start_deadline)
    await asyncio.wait({listening, asked}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    halt = None
    if not listening.done():
        reason = Reason.CANCELLED if asked.done() else Reason.START_DEADLINE
        halt = replace(await _halt(target, place, reason, grace_s), detail=told[0])
    for task in (asked, listening):
        task.cancel()
    await asyncio.gather(asked, listening, return_exceptions=True)
    return await _reach(lambda: target.status(place)) or status, halt


def _since(moment: str | None, limit: float | None) -> float | None:
    if limit is None:
        return None
    begun = datetime.fromisoformat(moment) if moment else datetime.now(UTC)
    return max(0.0, limit - (datetime.now(UTC) - begun).total_seconds())


def _seconds_left(status: AttemptStatus, limit: float | None) -> float | None:
    return _since(status.started, limit)


async def _reach(call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Repeat an idempotent call until the infrastructure answers: its absence is never the run's end."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(_RETRY_SECONDS)


async def _follow(
    context: LaunchContext, place: Place, spool: Spool, seconds: float | None, grace_s: float
) -> Halt | None:
    """Read the attempt's output to its end; stop it on cancel or time-out, and prove that it is over."""

    async def pump() -> None:
        async for chunk in context.target.logs(place, spool.offset):
            # In a thread: a disk may be slow.
            await asyncio.to_thread(spool.write, chunk)

    pumping = asyncio.ensure_future(_reach(pump))
    asked = asyncio.ensure_future(context.cancelled.wait())
    await asyncio.wait({pumping, asked}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    halt = None
    if not pumping.done():
        reason = Reason.CANCELLED if asked.done() else Reason.TIMEOUT
        halt = await _halt(context.target, place, reason, grace_s)
    asked.cancel()
    await pumping
    spool.close()
    return halt


@dataclass(frozen=True, slots=True)
class Halt:
    """An attempt that we ended: why, the proof, and what is to be said of it."""

    reason: Reason
    proof: Stopped
    detail: str = ""


async def _halt(target: Target, place: Place, reason: Reason, grace_s: float) -> Halt:
    asked = datetime.now(UTC).isoformat()
    proof = await _reach(lambda: target.stop(place, grace_s))
    # It may have ended by itself just now: that nothing runs is what counts.
    proof = proof or Stopped(gone=datetime.now(UTC).isoformat())
    return Halt(reason, proof.model_copy(update={"asked": asked}))


async def _bring_home(
    context: LaunchContext, resolved: Resolved, spec: RunSpec, place: Place, halt: Halt | None
) -> Outcome:
    """Put an ended attempt's outputs into the store, and say how it ended."""
    status = await _reach(lambda: context.target.status(place))
    with tempfile.TemporaryDirectory(prefix="launch-outputs-") as name:
        folder = Path(name)
        try:
            left_out = await _reach(lambda: context.target.collect(place, spec, folder))
        except NotFound:
            # The attempt vanished, and its outputs with it; its state says so.
            return conclude(context, place, End(halt, None, Outputs()))
        directory = resolved.version.job.entrypoint.directory
        limit = resolved.configuration.output_limit_bytes
        outputs, paths = await asyncio.to_thread(gather_outputs, folder, directory, limit)
        for file, path in zip(outputs.files, paths, strict=True):
            await _stored(context.store.put_output, context.run, context.attempt, file, path)
    outputs = outputs.model_copy(update={"left_out": (*outputs.left_out, *left_out)})
    return conclude(context, place, End(halt, status, outputs))


async def _stored(write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Write to the store, waiting while it does not answer (a full disk that is freed, an S3 that comes back)."""
    return await _reach(lambda: asyncio.to_thread(write, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended.

    Attributes:
        halt: how we ended it; None if it ended by itself.
        status: the infrastructure's last word; None if nothing was there.
        outputs: what it left.
    """

    halt: Halt | None
    status: AttemptStatus | None
    outputs: Outputs


def conclude(context: LaunchContext, place: Place, end: End) -> Outcome:
    """The attempt's outcome. Pure but for the clock, where the infrastructure names no time."""
    reason, status = end.halt.reason if end.halt else None, end.status
    code = status.exit_code if status else None
    if reason is None:
        reason = status.reason if status else None
    if reason is None:
        reason = Reason.INFRASTRUCTURE if code is None else Reason.EXITED
        if status and status.out_of_memory:
            reason = Reason.OUT_OF_MEMORY
    return Outcome(
        run=context.run,
        attempt=context.attempt,
        place=str(place),
        reason=reason,
        exit_code=code,
        message=_message(reason, code, (end.halt.detail if end.halt else "") or (status.error if status else "")),
        started=status.started if status else None,
        ended=(status.ended if status else None) or datetime.now(UTC).isoformat(),
        outputs=end.outputs,
        stopped=end.halt.proof if end.halt else None,
        peak_memory_bytes=status.peak_memory_bytes if status else None,
    )


def _message(reason: Reason, code: int | None, error: str) -> str:
    detail = f": {error}" if error else ""
    return {
        Reason.EXITED: f"Exited with code {code}{detail}",
        Reason.CANCELLED: "Cancelled; its container or process is gone",
        Reason.TIMEOUT: "Stopped at its time limit",
        Reason.START_DEADLINE: f"Not started in time{detail}",
        Reason.PREEMPTED: f"Its machine was taken back{detail}",
        Reason.OUT_OF_MEMORY: f"Killed for using more memory than its limit (exit code {code})",
        Reason.INFRASTRUCTURE: f"Its container or process vanished{detail}",
    }[reason]


async def clean(context: LaunchContext, place: Place, spec: RunSpec) -> None:
    """Remove what an ended attempt leaves on its infrastructure."""
    await _reach(lambda: context.target.remove(place))
    if spec.source:
        await asyncio.to_thread(shutil.rmtree, spec.source, ignore_errors=True)
    await _forget_secrets(context, spec)


def lost_outcome(run: str, attempt: int, place: str) -> Outcome:
    """The outcome of an attempt of which nothing is left at its place."""
    message, now = _message(Reason.INFRASTRUCTURE, None, ""), datetime.now(UTC).isoformat()
    lost = Outcome(run=run, attempt=attempt, place=place, reason=Reason.INFRASTRUCTURE, message=message, ended=now)
    return diagnosed(lost, ())


async def end_cancelled(store: JobStore, target: Target, place: Place, *, run: str, attempt: int) -> Outcome:
    """End an attempt that nobody follows any more, and record that it was cancelled."""
    halt = await _halt(target, place, Reason.CANCELLED, _CANCEL_GRACE_SECONDS)
    crashpoints.reach("stop.after")
    status = await target.status(place)
    outcome = Outcome(
        run=run,
        attempt=attempt,
        place=str(place),
        reason=Reason.CANCELLED,
        exit_code=status.exit_code if status else None,
        message=_message(Reason.CANCELLED, None, ""),
        stopped=halt.proof,
        ended=datetime.now(UTC).isoformat(),
    )
    outcome = await asyncio.to_thread(store.put_outcome, outcome)
    await target.remove(place)
    return outcome
