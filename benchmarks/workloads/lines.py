"""What became of numbered lines on their way: kept, in order, in time. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from itertools import pairwise


def kept(numbers: Iterable[int], count: int) -> dict[str, int]:
    """What is lost and out of order among numbered lines."""
    there = list(numbers)
    return {
        "lost": count - len(set(there)),
        "doubled": len(there) - len(set(there)),
        "reordered": sum(one > other for one, other in pairwise(there)),
    }


def lags(shown: list[tuple[float, float]]) -> dict[str, float | None]:
    """How late lines were shown: pairs of when each was written and when it was seen."""
    late = sorted(seen - written for written, seen in shown)
    if len(late) < 2:
        return {"lag_median_s": None, "lag_p95_s": None}
    return {"lag_median_s": round(statistics.median(late), 2), "lag_p95_s": round(late[int(len(late) * 0.95)], 2)}


def shown_at(written: list[float], counts: list[tuple[float, int]]) -> list[tuple[float, float]]:
    """Each line's moment, with the one at which so many lines were first counted."""
    shown: list[tuple[float, float]] = []
    steps = iter(counts)
    moment, there = next(steps)
    for number, at in enumerate(sorted(written), 1):
        while there < number:
            moment, there = next(steps, (moment, len(written)))
        shown.append((at, moment))
    return shown
