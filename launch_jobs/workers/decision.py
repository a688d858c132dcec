"""What to do about a run that some agent claimed: one decision over its state, its attempt and its owner. Pure.

The table of `tests/workers/test_decision.py` holds every cell. Whoever acts on it (`reconciling.py`) owns the run's
lock by then, so that no second agent of this home decides at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from launch_jobs.run import RunState

MOST_DEATHS = 3
"""A run whose agent died that often before anything of it was started is parked."""


class Owner(StrEnum):
    """Who claimed the run last."""

    US = "us"  # this agent works on it
    ALIVE = "alive"  # another one that lives
    DEAD = "dead"
    UNKNOWN = "unknown"  # nobody can tell: a stock worker's claim, an agent that is not long enough away


class Found(StrEnum):
    """What is at the place that the run's last attempt recorded."""

    UNPLACED = "unplaced"  # no attempt was recorded, or its agent died before it made it: nothing was ever started
    ABSENT = "absent"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    ELSEWHERE = "elsewhere"  # on an engine or host that this agent does not reach
    SILENT = "silent"  # the engine does not answer


class Action(StrEnum):
    """What an agent does."""

    LEAVE = "leave"
    ADOPT = "adopt"  # run its flow again: it finds what is there
    REQUEUE = "requeue"  # back to its old place in line: nothing of this attempt was started
    LOSE = "lose"  # the attempt's infrastructure is gone: end it so, then by policy its next attempt or Crashed
    CANCEL = "cancel"  # end what is there, then say Cancelled
    PARK = "park"  # to be released by hand: it kills its agents


@dataclass(frozen=True, slots=True)
class Case:
    """A run as an agent finds it.

    Attributes:
        state: on the server.
        owner: of the last claim.
        found: at the place of the last recorded attempt.
        is_ended: that attempt's outcome is in the store.
        deaths: agents that died, unasked, since the run last got further than its claim; the one before us included.
    """

    state: RunState
    owner: Owner
    found: Found
    is_ended: bool = False
    deaths: int = 0


def decide(case: Case) -> Action:
    """What to do about a run. Pure."""
    if case.owner is not Owner.DEAD or case.state not in _CLAIMED:
        return Action.LEAVE
    if case.state is RunState.CANCELLING:
        return Action.LEAVE if case.found in _UNSEEN and not case.is_ended else Action.CANCEL
    if case.is_ended or case.found is Found.UNPLACED:
        return _decide_before_a_start(case)
    return _THERE[case.found]


def _decide_before_a_start(case: Case) -> Action:
    """The last recorded attempt is over, or there was none: a claim died, a build, or the telling of an end."""
    if case.deaths >= MOST_DEATHS:
        return Action.PARK
    if case.is_ended and case.state is RunState.RUNNING:
        return Action.ADOPT  # its end is to be told; or its next attempt was being built
    return Action.REQUEUE


_CLAIMED = frozenset({RunState.PENDING, RunState.RUNNING, RunState.CANCELLING})
_UNSEEN = frozenset({Found.ELSEWHERE, Found.SILENT})
_THERE = {
    Found.ABSENT: Action.LOSE,
    Found.CREATED: Action.ADOPT,
    Found.RUNNING: Action.ADOPT,
    Found.EXITED: Action.ADOPT,
    Found.ELSEWHERE: Action.LEAVE,
    Found.SILENT: Action.LEAVE,
}
