"""`launch why`, decided from facts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from launch_jobs.run import RunInfo, RunState
from launch_jobs.why import Cause, Facts, Line, decide

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(seconds=2), NOW + timedelta(hours=1)
AGENT = ("host-agent",)
TOOK = (30.0, 40.0, 50.0, 60.0, 70.0)


def _run(state: RunState, name: str = "", reason: str | None = None) -> RunInfo:
    return RunInfo(
        id="1", name="r", state=state, state_name=name or state.value.title(), job=None, queue="gpu", reason=reason
    )


WAITING = [
    (Line(paused="the queue", agents=AGENT), Cause.PAUSED, "Position 1 of 1 in gpu: the queue is paused"),
    (Line(paused="its priority low"), Cause.PAUSED, "its priority low is paused"),
    (Line(position=2, waiting=3), Cause.NO_AGENT, "Position 2 of 3 in gpu: no agent is online"),
    (Line(limit=2, active=2, agents=AGENT), Cause.LIMIT, "limit is reached (2 of 2 runs)"),
    (Line(limit=2, active=1, agents=AGENT), Cause.POSITION, "Position 1 of 1 in gpu: the next free agent"),
    (Line(position=3, waiting=7, agents=AGENT), Cause.POSITION, "Position 3 of 7 in gpu: runs before it"),
    (Line(position=2, agents=AGENT, head="for 4 GPUs"), Cause.POSITION, "gpu: the run before it waits for 4 GPUs"),
    (Line(position=3, agents=AGENT, head="for 1 CPU"), Cause.POSITION, "2 runs before it; the first waits for 1 CPU"),
    (Line(seen=("host-agent", SOON)), Cause.NO_AGENT, "no agent is online; host-agent was last seen at 2026-03-01"),
    (Line(limit=1, active=1, narrow="priority low", agents=AGENT), Cause.LIMIT, "the limit of priority low is reached"),
    (
        Line(active=2, full=("host-agent", 2), agents=AGENT),
        Cause.AGENT_LIMIT,
        "host-agent is at its limit (2 of 2 runs)",
    ),
    (Line(limit=2, active=2, full=("host-agent", 2), agents=AGENT), Cause.LIMIT, "the queue's limit is reached"),
]


@pytest.mark.parametrize(("line", "cause", "words"), WAITING)
def test_a_waiting_run_says_its_position_and_what_holds_it_up(line: Line, cause: Cause, words: str) -> None:
    """What an operator can change comes before what only time changes."""
    why = decide(Facts(_run(RunState.SCHEDULED), NOW, created=NOW, due=NOW, line=line))
    assert (why.cause, why.position, why.waiting) == (cause, line.position, line.waiting)
    assert words in why.what


def test_what_an_agent_says_of_a_run_that_it_gave_back_is_told() -> None:
    """It knows what the server does not: the GPUs that are free."""
    run = _run(RunState.SCHEDULED, reason="Waiting for 4 GPUs (2 of 4 are free on agent host)")
    why = decide(Facts(run, NOW, created=NOW, due=NOW, line=Line(agents=AGENT)))
    assert why.cause is Cause.TOLD
    assert why.what == "Position 1 of 1 in gpu: waiting for 4 GPUs (2 of 4 are free on agent host)"


RANGES = [
    (Line(agents=AGENT, active=1, took=TOOK), (0.0, 60.0), "it may start in 0 to 60 s"),
    (Line(agents=AGENT, active=2, limit=2, position=5, waiting=5, took=TOOK), (80.0, 180.0), "in 1 to 3 min"),
    (Line(agents=AGENT, active=1, took=(0.1,) * 5), (0.0, 0.1), "in about 1 s"),
    (Line(agents=AGENT, active=1, took=TOOK[:4]), None, ""),
    (Line(took=TOOK), None, ""),
]


@pytest.mark.parametrize(("line", "seconds", "words"), RANGES)
def test_when_it_may_start(line: Line, seconds: tuple[float, float] | None, words: str) -> None:
    """By the middle half of how long earlier runs took; with fewer than five of them, or nobody to start it, not."""
    why = decide(Facts(_run(RunState.SCHEDULED), NOW, created=NOW, due=NOW, line=line))
    assert why.starts_in_s == seconds
    assert words in why.what
    assert words or "may start" not in why.what


STATES = [
    (_run(RunState.PENDING, reason="Claimed by agent host-agent [abc]"), Cause.CLAIMED, "Claimed by agent host-agent"),
    (
        _run(RunState.PENDING, reason="Claimed by agent a b [abc], 2 of 2 at once"),
        Cause.CLAIMED,
        "Claimed by agent a b",
    ),
    (_run(RunState.RUNNING, reason="Building image"), Cause.RUNNING, "Building image"),
    (_run(RunState.RUNNING), Cause.RUNNING, "Running"),
    (_run(RunState.FAILED, reason="Exited with code 3"), Cause.OVER, "Failed: Exited with code 3"),
    (_run(RunState.COMPLETED), Cause.OVER, "Completed"),
]


@pytest.mark.parametrize(("run", "cause", "what"), STATES)
def test_a_run_that_left_the_queue_says_what_it_does(run: RunInfo, cause: Cause, what: str) -> None:
    """The state's message is the sentence; it has no position."""
    why = decide(Facts(run, NOW, line=Line(agents=AGENT)))
    assert (why.cause, why.what, why.position) == (cause, what, None)


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.RUNNING, RunState.CANCELLING])
def test_an_active_run_without_an_agent_says_so(state: RunState) -> None:
    """Nobody follows it."""
    assert "no agent of gpu is online" in decide(Facts(_run(state), NOW, line=Line())).what


def test_moments_to_come_are_told() -> None:
    """A retry and a later start are told apart; a start a moment ahead of our clock is now."""
    line = Line(agents=AGENT)
    retry = decide(Facts(_run(RunState.SCHEDULED, "AwaitingRetry", "x"), NOW, created=NOW, due=LATER, line=line))
    later = decide(Facts(_run(RunState.SCHEDULED), NOW, created=NOW, due=LATER, line=line))
    soon = decide(Facts(_run(RunState.SCHEDULED), NOW, created=NOW, due=SOON, line=line))
    assert [why.cause for why in (retry, later, soon)] == [Cause.RETRY, Cause.LATER, Cause.POSITION]
    assert LATER.astimezone().strftime("%H:%M:%S") in retry.what


def test_a_run_whose_queue_is_gone_waits_for_ever() -> None:
    """That is said, with what to do."""
    why = decide(Facts(_run(RunState.SCHEDULED), NOW, line=None))
    assert why.cause is Cause.QUEUE_GONE
    assert "submit it again" in why.do
