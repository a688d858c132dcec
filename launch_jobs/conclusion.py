"""How an attempt ended, in the words of its outcome, and what the retry policy says to it. Pure but for the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from launch_jobs.context import LaunchContext
from launch_jobs.diagnosis import diagnosed
from launch_jobs.preparation import Resolved
from launch_jobs.run import Outcome, Outputs, Place, Reason, RetryPolicy, Stopped
from launch_jobs.targets import AttemptStatus


@dataclass(frozen=True, slots=True)
class Halt:
    """An attempt that we ended: why, the proof, and what is to be said of it."""

    reason: Reason
    proof: Stopped
    detail: str = ""


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
        message=end_message(reason, code, end.halt.detail if end.halt else (status.error if status else "")),
        started=status.started if status else None,
        ended=(status.ended if status else None) or datetime.now(UTC).isoformat(),
        outputs=end.outputs,
        stopped=end.halt.proof if end.halt else None,
        peak_memory_bytes=status.peak_memory_bytes if status else None,
    )


def end_message(reason: Reason, code: int | None, error: str) -> str:
    """What an outcome says, for people."""
    detail = f": {error}" if error else ""
    return {
        Reason.EXITED: f"Exited with code {code}{detail}",
        Reason.CANCELLED: "Cancelled; its container or process is gone",
        Reason.TIMEOUT: f"Stopped at its time limit{detail}",
        Reason.START_DEADLINE: f"Not started in time{detail}",
        Reason.PREEMPTED: f"Its machine was taken back{detail}",
        Reason.OUT_OF_MEMORY: f"Killed for using more memory than its limit (exit code {code})",
        Reason.INFRASTRUCTURE: f"Its container or process vanished{detail}",
    }[reason]


def lost_outcome(run: str, attempt: int, place: str) -> Outcome:
    """The outcome of an attempt of which nothing is left at its place."""
    message, now = end_message(Reason.INFRASTRUCTURE, None, ""), datetime.now(UTC).isoformat()
    lost = Outcome(run=run, attempt=attempt, place=place, reason=Reason.INFRASTRUCTURE, message=message, ended=now)
    return diagnosed(lost, ())


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
