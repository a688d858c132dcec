"""From a round's history to what it violates, by the invariants of RELIABILITY 3.2. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from fault_history import Asked, History, Record, Seen, lines_of

RECOVERY_S = 60.0
LEAVING_S = 5.0
GRACE_S = 15.0
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Violation:
    """One broken promise."""

    invariant: str
    run: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.run}: {self.what}"


def violations(history: History, *, patience: float = 1.0) -> list[Violation]:
    """All of a round's, by invariant.

    Args:
        history: the round.
        patience: factor on the times allowed, for a machine that is busy with others' work.
    """
    return [violation for check in CHECKS for violation in check(history, patience)]


def longest_recovery(history: History) -> float:
    """Seconds from the end of the faults to the last end of a run; 0 if all were over by then."""
    ends = [record.ended for record in history.records if record.ended is not None]
    return max([0.0, *(end - history.cleared for end in ends)])


def _acknowledged(history: History) -> Iterator[tuple[Asked, Record]]:
    records = {record.run: record for record in history.records}
    for asked in history.asked:
        if asked.run is not None and asked.run in records:
            yield asked, records[asked.run]


def no_run_is_lost(history: History, patience: float) -> Iterator[Violation]:
    """I1: each acknowledged submit is exactly one run, and over in time after the faults stopped."""
    records = {record.run: record for record in history.records}
    keys = Counter(record.key for record in history.records)
    for asked in history.asked:
        if keys[asked.key] > 1:
            yield Violation("I1", asked.key, f"one submit made {keys[asked.key]} runs")
        if asked.told != "ok":
            continue
        record = records.get(asked.run or "")
        if record is None:
            yield Violation("I1", asked.run or asked.key, "acknowledged, and unknown to the server")
        elif record.ended is None or record.states[-1] not in _FINAL:
            yield Violation("I1", record.run, f"still {record.states[-1]}: {record.reason}")
        elif record.ended > history.cleared + RECOVERY_S * patience:
            yield Violation("I1", record.run, f"over {record.ended - history.cleared:.0f} s after the faults")


def one_end(history: History, _: float) -> Iterator[Violation]:
    """I2: one terminal state, final, and the same in store and server."""
    for record in history.records:
        finals = [state for state in record.states if state in _FINAL]
        if len(set(finals)) > 1:
            yield Violation("I2", record.run, f"ended as {', then '.join(finals)}")
        if any(before in _FINAL and after not in _FINAL for before, after in pairwise(record.states)):
            yield Violation("I2", record.run, f"left a final state: {' '.join(record.states)}")
        attempts = [attempt for attempt, _ in record.outcomes]
        if len(set(attempts)) < len(attempts):
            yield Violation("I2", record.run, "an attempt has two outcomes")
        if record.outcomes and record.states[-1] in _FINAL and record.outcomes[-1][1].upper() != record.states[-1]:
            yield Violation("I2", record.run, f"{record.states[-1]}, but the store says {record.outcomes[-1][1]}")


def started_once(history: History, _: float) -> Iterator[Violation]:
    """I3: a program starts at most once an attempt, and no more attempts are made than allowed."""
    starts = Counter((seen.run, seen.attempt) for seen in history.seen if seen.code is None)
    for (run, attempt), number in starts.items():
        if number > 1:
            yield Violation("I3", run, f"attempt {attempt} started {number} times")
        if attempt > history.attempts:
            yield Violation("I3", run, f"attempt {attempt}, where {history.attempts} are allowed")


def no_overlap(history: History, _: float) -> Iterator[Violation]:
    """I4: an attempt starts after the one before it has ended."""
    spans = _spans(history)
    for (run, attempt), (begin, _end) in spans.items():
        before = spans.get((run, attempt - 1))
        if before and begin < before[1]:
            yield Violation("I4", run, f"attempt {attempt} began before attempt {attempt - 1} was over")


def right_end(history: History, patience: float) -> Iterator[Violation]:
    """I5: the state tells what really happened."""
    ends = {(seen.run, seen.attempt): seen for seen in history.seen if seen.code is not None}
    for asked, record in _acknowledged(history):
        last = max((attempt for run, attempt in ends if run == record.run), default=0)
        end = ends.get((record.run, last))
        allowed = _allowed(asked, end)
        if record.states[-1] in _FINAL and record.states[-1] not in allowed:
            yield Violation("I5", record.run, f"{record.states[-1]} ({record.reason}), not {' or '.join(allowed)}")
        if record.states[-1] == "CANCELLED" and end and asked.cancelled is not None:
            late = end.at - asked.cancelled
            if late > GRACE_S * patience:
                yield Violation("I5", record.run, f"its program went on for {late:.0f} s after the cancel")
    for seconds in history.exits:
        if seconds > LEAVING_S * patience:
            yield Violation("I5", "agent", f"took {seconds:.1f} s to leave")


def _allowed(asked: Asked, end: Seen | None) -> list[str]:
    if asked.parked:
        return ["CRASHED"]
    allowed = ["CANCELLED"] if asked.cancelled is not None else []
    if asked.lost and end is None:
        return [*allowed, "CRASHED"]
    if end is None and asked.cancelled is not None:
        return allowed
    return [*allowed, "COMPLETED" if asked.code == 0 else "FAILED"]


def really_ran(history: History, _: float) -> Iterator[Violation]:
    """I15: nothing is told that did not happen: a completed run's program ended, a refused submit made no run."""
    ends = {seen.run: seen.code for seen in history.seen if seen.code is not None}
    for record in history.records:
        if record.states[-1] == "COMPLETED" and ends.get(record.run) != 0:
            yield Violation("I15", record.run, f"COMPLETED, and its program ended with {ends.get(record.run)}")
    keys = {record.key for record in history.records}
    for asked in history.asked:
        if asked.told == "refused" and asked.key in keys:
            yield Violation("I15", asked.key, "refused, and there is a run")


def nothing_left(history: History, _: float) -> Iterator[Violation]:
    """I6: no process, folder or container of a run that is over."""
    for name in history.left:
        yield Violation("I6", name, "is left")


def store_whole(history: History, _: float) -> Iterator[Violation]:
    """I7: what `launch check` finds."""
    for what in history.damage:
        yield Violation("I7", "launch check", what)


def logs_whole(history: History, _: float) -> Iterator[Violation]:
    """I8: each line once and in order, in the store and in Prefect; of a program that was stopped, a beginning."""
    for asked, record in _acknowledged(history):
        if record.states[-1] not in _FINAL or asked.lost or asked.parked:
            continue
        wanted = lines_of(record.run, asked.lines)
        whole = record.states[-1] in {"COMPLETED", "FAILED"}
        for where, found in (("store", record.log), ("Prefect", record.shown)):
            if found is None and not whole:
                continue
            wrong = _difference(wanted, found or (), whole=whole)
            if wrong:
                yield Violation("I8", record.run, f"log in {where}: {wrong}")


def _difference(wanted: tuple[str, ...], found: tuple[str, ...], *, whole: bool) -> str:
    if found == wanted or (not whole and found == wanted[: len(found)]):
        return ""
    doubled = len(found) - len(set(found))
    missing = len(set(wanted) - set(found)) if whole else 0
    return f"{missing} lines missing, {doubled} doubled of {len(wanted)}, or out of order"


def in_order(history: History, _: float) -> Iterator[Violation]:
    """I9: what was submitted after another was acknowledged is not claimed for good before its first claim."""
    claimed = [(asked, record) for asked, record in _acknowledged(history) if record.claims]
    for asked, record in claimed:
        for later, other in claimed:
            is_later = later.lane == asked.lane and asked.done < later.begun
            if is_later and other.claims[-1] < record.claims[0]:
                yield Violation("I9", record.run, f"overtaken by {other.run}")


def within_limits(history: History, _: float) -> Iterator[Violation]:
    """I10: never more programs at once than the queue's limit."""
    spans = list(_spans(history).values())
    most = max((sum(begin <= moment < end for begin, end in spans) for moment, _ in spans), default=0)
    if history.limit is not None and most > history.limit:
        yield Violation("I10", "queue", f"{most} programs at once, the limit is {history.limit}")


def queue_drained(history: History, _: float) -> Iterator[Violation]:
    """I14: when all is over nobody waits."""
    for record in history.records:
        if record.states[-1] in {"SCHEDULED", "PENDING"}:
            yield Violation("I14", record.run, f"still {record.states[-1]}")


def _spans(history: History) -> dict[tuple[str, int], tuple[float, float]]:
    """When each attempt's program began, and ended by its own word; one that was killed counts until it began."""
    ends = {(seen.run, seen.attempt): seen.at for seen in history.seen if seen.code is not None}
    starts = {(seen.run, seen.attempt): seen.at for seen in history.seen if seen.code is None}
    return {key: (begin, ends.get(key, begin)) for key, begin in starts.items()}


CHECKS: tuple[Callable[[History, float], Iterator[Violation]], ...] = (
    *(no_run_is_lost, one_end, started_once, no_overlap, right_end, nothing_left, store_whole),
    *(logs_whole, in_order, within_limits, queue_drained, really_ran),
)
