"""The campaign's checker has teeth: it accepts a good history, and rejects each of these bad ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from fault_checker import CHECKS, Violation, longest_recovery, violations
from fault_history import PROGRAM, Asked, History, Record, Seen, lines_of, read_witness

RUNS = ("run-a", "run-b", "run-c")


def _asked(number: int) -> Asked:
    return Asked(f"key-{number}", "ok", RUNS[number], number, number + 0.5, code=number, lines=3, lane="q")


def _record(number: int) -> Record:
    state = "COMPLETED" if number == 0 else "FAILED"
    log = lines_of(RUNS[number], 3)
    states = ("SCHEDULED", "PENDING", "RUNNING", state)
    outcomes = ((1, state.lower()),)
    return Record(RUNS[number], f"key-{number}", states, (10.0 + number,), outcomes, log, log, ended=20.0 + number)


def _seen(number: int) -> tuple[Seen, Seen]:
    begin = 10.0 + 3 * number
    return Seen(RUNS[number], 1, 100 + number, begin), Seen(RUNS[number], 1, 100 + number, begin + 2, number)


GOOD = History(
    asked=tuple(_asked(number) for number in range(3)),
    seen=tuple(seen for number in range(3) for seen in _seen(number)),
    records=tuple(_record(number) for number in range(3)),
    cleared=15.0,
    limit=1,
)


def _with_record(**changes: object) -> History:
    return replace(GOOD, records=(replace(GOOD.records[0], **changes), *GOOD.records[1:]))  # pyright: ignore[reportArgumentType] - fields of a record


def _with_asked(**changes: object) -> History:
    return replace(GOOD, asked=(replace(GOOD.asked[0], **changes), *GOOD.asked[1:]))  # pyright: ignore[reportArgumentType] - fields of a submit


def _more_seen(*seen: Seen) -> History:
    return replace(GOOD, seen=(*GOOD.seen, *seen))


_LOG = lines_of("run-a", 3)
_STATES = GOOD.records[0].states
BAD: dict[str, tuple[str, History]] = {
    "a run is unknown to the server": ("I1", replace(GOOD, records=GOOD.records[1:])),
    "a run is still running": ("I1", _with_record(states=_STATES[:3], ended=None)),
    "a run was never seen over": ("I1", _with_record(ended=None)),
    "a run ended too late": ("I1", _with_record(ended=80.0)),
    "one submit made two runs": ("I1", replace(GOOD, records=(*GOOD.records, replace(GOOD.records[0], run="twin")))),
    "an unanswered submit made two": (
        "I1",
        replace(
            _with_asked(told="unknown", run=None),
            records=(*GOOD.records, replace(GOOD.records[0], run="twin")),
        ),
    ),
    "two different ends": ("I2", _with_record(states=(*_STATES[:3], "CRASHED", "COMPLETED"))),
    "out of a final state": ("I2", _with_record(states=(*_STATES, "RUNNING", "COMPLETED"))),
    "two outcomes of an attempt": ("I2", _with_record(outcomes=((1, "completed"), (1, "completed")))),
    "store and server differ": ("I2", _with_record(outcomes=((1, "failed"),))),
    "started twice": ("I3", _more_seen(Seen("run-a", 1, 999, 13.0))),
    "a second attempt, not allowed": ("I3", _more_seen(Seen("run-a", 2, 999, 19.0))),
    "attempts overlap": ("I4", replace(_more_seen(Seen("run-a", 2, 999, 11.0)), attempts=2)),
    "exit 0 called failed": ("I5", _with_record(states=(*_STATES[:3], "FAILED"), outcomes=((1, "failed"),))),
    "exit 0 called crashed": ("I5", _with_record(states=(*_STATES[:3], "CRASHED"), outcomes=())),
    "cancelled, and nobody asked": ("I5", _with_record(states=(*_STATES[:3], "CANCELLED"), outcomes=())),
    "completed, though it failed": (
        "I5",
        replace(GOOD, records=(*GOOD.records[:2], replace(GOOD.records[2], states=_STATES, outcomes=()))),
    ),
    "lost, and called the user's failure": (
        "I5",
        replace(
            _with_record(states=(*_STATES[:3], "FAILED"), outcomes=()),
            asked=(replace(GOOD.asked[0], lost=True), *GOOD.asked[1:]),
            seen=(GOOD.seen[0], *GOOD.seen[2:]),
        ),
    ),
    "went on after its cancel": (
        "I5",
        replace(
            _with_record(states=(*_STATES[:3], "CANCELLED"), outcomes=()),
            asked=(replace(GOOD.asked[0], cancelled=1.0), *GOOD.asked[1:]),
            seen=(GOOD.seen[0], replace(GOOD.seen[1], at=40.0), *GOOD.seen[2:]),
        ),
    ),
    "cancelled, and called completed without an end": (
        "I5",
        replace(_with_asked(cancelled=1.0), seen=(GOOD.seen[0], *GOOD.seen[2:])),
    ),
    "parked, and called completed": ("I5", _with_asked(parked=True)),
    "an agent took long to leave": ("I5", replace(GOOD, exits=(0.5, 6.0))),
    "a process is left": ("I6", replace(GOOD, left=("pid 100",))),
    "the store is damaged": ("I7", replace(GOOD, damage=("a blob is torn",))),
    "no log in the store": ("I8", _with_record(log=None)),
    "a line is missing": ("I8", _with_record(log=(_LOG[0], _LOG[2]))),
    "a line is doubled in Prefect": ("I8", _with_record(shown=(*_LOG, _LOG[2]))),
    "lines out of order": ("I8", _with_record(shown=(_LOG[1], _LOG[0], _LOG[2]))),
    "a foreign line": ("I8", _with_record(log=(*_LOG, "line 0 of run-b"))),
    "overtaken": ("I9", _with_record(claims=(11.5, 12.5))),
    "over the limit": ("I10", _more_seen(Seen("other", 1, 5, 11.0), Seen("other", 1, 5, 11.5, 0))),
    "still waiting": ("I14", _with_record(states=("SCHEDULED",), ended=None)),
    "claimed for ever": ("I14", _with_record(states=("SCHEDULED", "PENDING"), ended=None)),
    "completed, and never ran": ("I15", replace(GOOD, seen=GOOD.seen[2:])),
    "completed, and never ended": ("I15", replace(GOOD, seen=(GOOD.seen[0], *GOOD.seen[2:]))),
    "refused, and there": ("I15", _with_asked(told="refused", run=None)),
}


def test_a_good_history_is_accepted() -> None:
    """Nothing is found in it, and its recovery is measured."""
    assert violations(GOOD) == []
    assert longest_recovery(GOOD) == 7.0


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_rejected(name: str) -> None:
    """By the invariant that it breaks."""
    invariant, history = BAD[name]
    assert invariant in {violation.invariant for violation in violations(history)}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_rejects_something(check: Callable[[History, float], Iterator[Violation]]) -> None:
    """None of them is idle."""
    assert any(list(check(history, 1.0)) for _, history in BAD.values())


def test_the_witness_is_read() -> None:
    """Its lines are those that the program appends."""
    assert "start $LAUNCH_RUN_ID" in PROGRAM
    found = read_witness(["start r 1 7 12.50", "end r 1 7 13.00 3"])
    assert found == (Seen("r", 1, 7, 12.5), Seen("r", 1, 7, 13.0, 3))
