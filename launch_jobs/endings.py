"""How a launch flow ends: our errors and outcomes as Prefect's terminal states, or back on its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import State
from prefect.context import FlowRunContext
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed

from launch_jobs.context import is_on_queue
from launch_jobs.errors import LaunchError, StoreError, Unavailable
from launch_jobs.execution import RunEnded
from launch_jobs.preparation import RunCancelled
from launch_jobs.run import Outcome, Retry, RunState

if TYPE_CHECKING:
    from prefect.types import DateTime


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


def ended_state(error: LaunchError) -> State[Any]:  # as above
    """The state for an error that ended a launch flow; its message is one line for people.

    While the policy of queue and run leaves attempts, the run goes back on its queue.
    """
    if isinstance(error, RunEnded):
        again = error.retry if is_on_queue() else None
        state = _retried_state(error.outcome, again) if again else outcome_state(error.outcome)
    elif isinstance(error, RunCancelled):
        state = Cancelled(message=str(error))
    elif isinstance(error, Unavailable | StoreError):
        state = Crashed(message=str(error))
    else:
        state = Failed(message=str(error))
    # Called from Python, the flow raises the error itself.
    state.data = error
    return state


def _retried_state(outcome: Outcome, retry: Retry) -> State[Any]:  # as above
    """The state that puts a run back on its queue for another attempt."""
    which = f"Attempt {retry.number} of {retry.limit + 1}"
    if retry.at_head:
        which = f"Attempt {outcome.attempt} lost ({retry.number} of {retry.limit} tried again)"
    state = AwaitingRetry(message=f"{which}: {outcome.message}; to be tried again")
    # The server's clock says when, as for all who wait: this one's must not jump the queue.
    state.state_details.scheduled_time = _old_place() if retry.at_head else None
    return state


def _old_place() -> DateTime | None:
    """When the run was to start at first: its place in line before all that came after it."""
    here = FlowRunContext.get()
    return here.flow_run.expected_start_time if here and here.flow_run else None
