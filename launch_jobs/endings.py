"""How a launch flow ends: our errors and outcomes as Prefect's terminal states."""

from __future__ import annotations

from typing import Any

from prefect import State
from prefect.states import Cancelled, Completed, Crashed, Failed

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


def ended_state(error: LaunchError) -> State[Any]:  # as above
    """The terminal state for an error that ended a launch flow; its message is one line for people."""
    if isinstance(error, RunEnded):
        state = outcome_state(error.outcome)
    elif isinstance(error, RunCancelled):
        state = Cancelled(message=str(error))
    elif isinstance(error, Unavailable | StoreError):
        state = Crashed(message=str(error))
    else:
        state = Failed(message=str(error))
    # Called from Python, the flow raises the error itself.
    state.data = error
    return state
