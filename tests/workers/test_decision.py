"""What an agent does about a run that some agent claimed: every cell of the table."""

from __future__ import annotations

from itertools import product

import pytest

from launch_jobs.run import RunState
from launch_jobs.workers.decision import MOST_DEATHS, Action, Case, Found, Owner, decide

# One letter a cell: - leave, a adopt, q requeue, l lose, c cancel. Columns: an attempt whose outcome is not stored yet,
# at its place unplaced, absent, created, running, exited, elsewhere, silent; then the same with a stored outcome.
_LETTERS = {
    "-": Action.LEAVE,
    "a": Action.ADOPT,
    "q": Action.REQUEUE,
    "l": Action.LOSE,
    "c": Action.CANCEL,
}
_DEAD_OWNER = {
    RunState.SCHEDULED: ("-------", "-------"),
    RunState.PAUSED: ("-------", "-------"),
    RunState.PENDING: ("qlaaa--", "qqqqqqq"),
    RunState.RUNNING: ("qlaaa--", "aaaaaaa"),
    RunState.CANCELLING: ("ccccc--", "ccccccc"),
    RunState.COMPLETED: ("-------", "-------"),
    RunState.FAILED: ("-------", "-------"),
    RunState.CRASHED: ("-------", "-------"),
    RunState.CANCELLED: ("-------", "-------"),
}
_CELLS = [
    (Case(state, Owner.DEAD, found, is_ended), _LETTERS[row[place]])
    for state, rows in _DEAD_OWNER.items()
    for is_ended, row in zip((False, True), rows, strict=True)
    for place, found in enumerate(Found)
]


def test_the_table_is_whole() -> None:
    """No state and no finding is forgotten."""
    assert len(_CELLS) == len(RunState) * len(Found) * 2


@pytest.mark.parametrize(("case", "action"), _CELLS)
def test_a_dead_agents_run(case: Case, action: Action) -> None:
    """Nothing is started twice: only where no attempt was recorded, or the last has ended, does a run go back."""
    assert decide(case) is action


@pytest.mark.parametrize("owner", [Owner.US, Owner.ALIVE, Owner.UNKNOWN])
def test_a_run_of_an_agent_that_may_live_is_left(owner: Owner) -> None:
    """Whatever else is known of it."""
    for state, found, is_ended in product(RunState, Found, (False, True)):
        assert decide(Case(state, owner, found, is_ended, deaths=MOST_DEATHS)) is Action.LEAVE


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.RUNNING])
def test_a_run_that_kills_its_agents_is_parked(state: RunState) -> None:
    """Only before its start: what runs is adopted, however many agents it has seen."""
    for found, is_ended in product(Found, (False, True)):
        actions = {
            decide(Case(state, Owner.DEAD, found, is_ended, deaths)) for deaths in (MOST_DEATHS, MOST_DEATHS + 1)
        }
        started = not is_ended and found is not Found.UNPLACED
        assert (Action.PARK in actions) is not started
    assert decide(Case(state, Owner.DEAD, Found.UNPLACED, deaths=MOST_DEATHS - 1)) is Action.REQUEUE
