"""The last step of a run: create or adopt its attempt, follow it to its end, bring its results home."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from launch_jobs import crashpoints
from launch_jobs.conclusion import End, Halt, conclude, end_message, lost_outcome, retry_policy
from launch_jobs.context import Labels, LaunchContext
from launch_jobs.diagnosis import diagnosed
from launch_jobs.errors import LaunchError, NotFound
from launch_jobs.following import follow, halted, seconds_left, started
from launch_jobs.job import JobVersion
from launch_jobs.live_log import LiveLog, Sink, Telling, last_lines
from launch_jobs.making import clean, ensured, forget_secrets, log_file, with_own_devices, with_secrets
from launch_jobs.names import attempt_name
from launch_jobs.patience import reach, stored
from launch_jobs.preparation import (
    NotStartedInTime,
    Prepared,
    Resolved,
    render,
)
from launch_jobs.results import gather_outputs
from launch_jobs.run import Outcome, Outputs, Place, Reason, Retry, RunState, next_attempt
from launch_jobs.spool import Spool, remove_spool
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets import EventTeller, RunSpec, Scheduling, Target

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
    place = await reach(lambda: context.target.place(attempt_name(context.run, context.attempt)))
    spec = render(context, resolved, prepared, place)
    if isinstance(context.target, Scheduling):
        place = await context.target.place_of(spec)
    if done is not None:
        await _finish(context, place, spec, output)
        return done
    await _record_place(context, resolved.version, place)
    spec = await with_own_devices(context, spec, place)
    spec, hide = await with_secrets(context, spec, place)
    try:
        status = await ensured(context, resolved, spec, place, waited_s=prepared.waited_s)
    except LaunchError:
        await forget_secrets(context, spec)
        raise
    crashpoints.reach("start.after")
    spool = Spool(log_file(context, spec.name), hide=hide)
    limit = resolved.overrides.timeout_s or resolved.configuration.timeout
    async with Telling(_live_log(context, spool.path, output)) as live:
        status, halt = await started(context, resolved, place, status, spec.stop_grace_s)
        halt = halt or await follow(context, place, spool, seconds_left(status, limit), spec.stop_grace_s)
        spool.close()  # of one that never started it is still open
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


def _live_log(context: LaunchContext, path: Path, output: Sink) -> LiveLog:
    return LiveLog(path, context.run, output, attempt=context.attempt, is_resumed=context.is_resumed)


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
    async with Telling(_live_log(context, log, output)) as live:
        await _keep_log(context, log)
        await clean(context, place, spec)
        await live.last_words()
    remove_spool(log)


async def _keep_log(context: LaunchContext, log: Path) -> None:
    """Keep what was read of an attempt that was lost; of one that ended, the store has the whole."""
    with tempfile.TemporaryDirectory(prefix="launch-log-") as folder:
        if not await stored(context.store.get_log, context.run, context.attempt, Path(folder) / "log"):
            await stored(context.store.put_log, context.run, context.attempt, log)


async def _written(context: LaunchContext, outcome: Outcome, spool: Spool) -> Outcome:
    """Put the whole log and the outcome into the store."""
    await stored(context.store.put_log, context.run, context.attempt, spool.path)
    crashpoints.reach("outcome.before")
    outcome = await stored(context.store.put_outcome, outcome)
    crashpoints.reach("outcome.after")
    return outcome


async def _record_place(context: LaunchContext, version: JobVersion, place: Place) -> None:
    """Write down where the attempt will live, before anything is there."""
    crashpoints.reach("place.before")
    labels: Labels = {"launch.attempt": context.attempt, "launch.place": str(place)}
    await context.record({**labels, "launch.job": version.reference, "launch.job-label": version.label})
    crashpoints.reach("place.after")


async def completed(context: LaunchContext, resolved: Resolved, outcome: Outcome) -> Outcome:
    """The outcome if it is a completed one.

    Raises:
        RunEnded: it is another; with what the policy of queue and run says to it.
    """
    if outcome.state is RunState.COMPLETED:
        return outcome
    earlier = [await stored(context.store.outcome, context.run, attempt) for attempt in range(1, outcome.attempt)]
    reasons = tuple(one.reason for one in earlier if one)
    raise RunEnded(outcome, next_attempt(retry_policy(resolved), outcome.reason, reasons))


async def never_started(context: LaunchContext, resolved: Resolved, why: LaunchError) -> NoReturn:
    """End an attempt of which nothing was made, or not in time: recorded as any other, so that the policy counts it.

    Raises:
        RunEnded: always.
    """
    place = await reach(lambda: context.target.place(attempt_name(context.run, context.attempt)))
    await _record_place(context, resolved.version, place)
    lost = lost_outcome(context.run, context.attempt, str(place))
    reason = Reason.START_DEADLINE if isinstance(why, NotStartedInTime) else Reason.INFRASTRUCTURE
    end = {"reason": reason, "message": str(why), "parameters": resolved.overrides.parameters}
    outcome = diagnosed(lost.model_copy(update=end), ())
    await completed(context, resolved, await stored(context.store.put_outcome, outcome))
    raise why


async def _bring_home(
    context: LaunchContext, resolved: Resolved, spec: RunSpec, place: Place, halt: Halt | None
) -> Outcome:
    """Put an ended attempt's outputs into the store, and say how it ended."""
    status = await reach(lambda: context.target.status(place))
    with tempfile.TemporaryDirectory(prefix="launch-outputs-") as name:
        folder = Path(name)
        try:
            left_out = await reach(lambda: context.target.collect(place, spec, folder))
        except NotFound:
            # The attempt vanished, and its outputs with it; its state says so. Without them an exit code is no end.
            lost = status if status and status.exit_code is None else None
            return conclude(context, place, End(halt, lost, Outputs()))
        directory = resolved.version.job.entrypoint.directory
        limit = resolved.configuration.output_limit_bytes
        outputs, paths = await asyncio.to_thread(gather_outputs, folder, directory, limit)
        for file, path in zip(outputs.files, paths, strict=True):
            await stored(context.store.put_output, context.run, context.attempt, file, path)
    outputs = outputs.model_copy(update={"left_out": (*outputs.left_out, *left_out)})
    return conclude(context, place, End(halt, status, outputs))


async def end_cancelled(store: JobStore, target: Target, place: Place, *, run: str, attempt: int) -> Outcome:
    """End an attempt that nobody follows any more, and record that it was cancelled."""
    halt = await halted(target, place, Reason.CANCELLED, _CANCEL_GRACE_SECONDS)
    crashpoints.reach("stop.after")
    status = await target.status(place)
    outcome = Outcome(
        run=run,
        attempt=attempt,
        place=str(place),
        reason=Reason.CANCELLED,
        exit_code=status.exit_code if status else None,
        message=end_message(Reason.CANCELLED, None, ""),
        stopped=halt.proof,
        ended=datetime.now(UTC).isoformat(),
    )
    outcome = await asyncio.to_thread(store.put_outcome, outcome)
    await target.remove(place)
    return outcome
