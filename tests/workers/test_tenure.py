"""An agent that was away knows whether a run that it had claimed is still its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import State
from prefect.states import AwaitingRetry, Cancelling, Completed, Pending, Running, Scheduled

from launch_jobs.workers.tenure import is_ours

_OURS, _THEIRS = "Claimed by agent one [aaaa]", "Claimed by agent two [bbbb]"


def _history(*states: State[Any]) -> list[State[Any]]:
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    moments = (begin + timedelta(seconds=number) for number in range(len(states)))
    return [state.model_copy(update={"timestamp": at}) for state, at in zip(states, moments, strict=True)]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([Scheduled(), Pending(message=_OURS)], True),
        ([Scheduled(), Pending(message=_OURS), Running()], True),
        ([Scheduled(), Pending(message=_OURS), Running(), Cancelling()], True),
        ([Scheduled(), Pending(message=_THEIRS), Scheduled(), Pending(message=_OURS)], True),
        ([Scheduled(), Pending(message=_OURS), Scheduled()], False),
        ([Scheduled(), Pending(message=_OURS), Scheduled(), Pending(message=_THEIRS)], False),
        ([Scheduled(), Pending(message=_OURS), Running(message=_THEIRS)], False),
        ([Scheduled(), Pending(message=_OURS), Running(), AwaitingRetry()], False),
        ([Scheduled(), Pending(message=_OURS), Running(), Completed()], False),
    ],
)
def test_a_claim_holds_until_somebody_else_has_the_run(states: list[State[Any]], expected: bool) -> None:
    """Put back, claimed or taken over by another home, or ended: then it is not ours any more."""
    assert is_ours(_history(*states)[::-1], "aaaa") is expected
