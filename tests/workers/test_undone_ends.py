"""What reaches the server after a run's end is told from what puts the run back on its queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect import State
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry, Cancelled, Completed, Failed, Pending, Running, Scheduled

from launch_jobs.workers.reconciling import undone_end


def _history(*states: State[Any]) -> list[State[Any]]:
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    return [
        state.model_copy(update={"timestamp": begin + timedelta(seconds=number), "id": uuid4()})
        for number, state in enumerate(states)
    ]


def _run(state: State[Any]) -> FlowRun:
    return FlowRun(flow_id=uuid4(), state=state, state_id=state.id)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([Scheduled(), Pending(), Running()], None),
        ([Scheduled(), Pending(), Running(), Completed()], None),
        ([Scheduled(), Pending(), Running(), Completed(), Running()], "Completed"),
        ([Scheduled(), Pending(), Running(), Failed(), Pending()], "Failed"),
        ([Scheduled(), Cancelled(), Running(), Running()], "Cancelled"),
        ([Scheduled(), Pending(), Running(), Failed(), Completed(), Running()], "Completed"),
        ([Scheduled(), Pending(), Failed(), Scheduled(), Pending(), Running()], None),
        ([Scheduled(), Pending(), Running(), AwaitingRetry(), Running()], None),
        ([Running()], None),
    ],
)
def test_an_end_that_nobody_took_back_is_the_end(states: list[State[Any]], expected: str | None) -> None:
    """A run that left its end otherwise than for its queue has not left it; whatever order they are read in."""
    history = _history(*states)
    end = undone_end(_run(history[-1]), history[::-1])
    assert (end and end.name) == expected


def test_where_clocks_went_back_nothing_is_undone() -> None:
    """The run's state is not the last one of its history: so its order tells nothing."""
    history = _history(Scheduled(), Running(), Scheduled(), Pending(), Failed())
    assert undone_end(_run(history[3]), history) is None
