"""How a launch flow ends: our errors and outcomes as Prefect's terminal states, or back on its queue."""

from __future__ import annotations

from typing import Any

from prefect import State
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed

from launch_jobs.context import is_on_queue
from launch_jobs.errors import LaunchError, StoreError, Unavailable
from launch_jobs.execution import RunEnded
from launch_jobs.preparation import RunCancelled
from launch_jobs.run import Outcome, RunState


def outcome_state(outcome: Outcome) -> State[Any]:  # Prefect's own type argument for a state without a typed result
    """The terminal state that tells an outcome."""
    make = {
        RunState.COMPLETED: Completed,
        RunState.CANCELLED: Cancelled,
        RunState.CRASHED: Crashed,
    }.get(outcome.state, Failed)
    return make(message=outcome.message)


def completed_state(outcome: Outcome) -> State[Outcome]:
    """The state of a completed outcome, with its message; called from Python, the flow returns the outcome."""
    state = outcome_state(outcome)
    state.data = outcome
    return state


def ended_state(error: LaunchError, *, retries: int = 0) -> State[Any]:  # as above
    """The state for an error that ended a launch flow; its message is one line for people.

    Args:
        error: why it ended.
        retries: how many further attempts follow one that failed or crashed; while some are left, the run goes back.
    """
    if isinstance(error, RunEnded):
        state = _retried_state(error.outcome, retries) or outcome_state(error.outcome)
    elif isinstance(error, RunCancelled):
        state = Cancelled(message=str(error))
    elif isinstance(error, Unavailable | StoreError):
        state = Crashed(message=str(error))
    else:
        state = Failed(message=str(error))
    # Called from Python, the flow raises the error itself.
    state.data = error
    return state


def _retried_state(outcome: Outcome, retries: int) -> State[Any] | None:  # as above
    """The state that puts a run back on its queue, if the outcome is one that is tried again; None if not."""
    if outcome.attempt > retries or outcome.state not in {RunState.FAILED, RunState.CRASHED} or not is_on_queue():
        return None
    state = AwaitingRetry(message=f"Attempt {outcome.attempt} of {retries + 1}: {outcome.message}; to be tried again")
    # The server's clock says when, as for all who wait: this one's must not jump the queue.
    state.state_details.scheduled_time = None
    return state
