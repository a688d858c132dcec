"""What a few noisy differences say of the true one, and whether that decides a goal. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import comb
from typing import Any, NamedTuple, Self

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A median, and between what the true one lies with 95 % confidence, whatever the noise looks like."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of independent values: by the sign test, so no outlier widens it and no shape is supposed.

        Fewer than six values cannot say it; theirs is the whole range.
        """
        ordered = sorted(values)
        left = _left_out(len(ordered))
        return cls(statistics.median(ordered), ordered[left], ordered[len(ordered) - 1 - left])

    def plus(self, other: Interval) -> Interval:
        """Of a sum; the ends are added, as if both were wrong the same way."""
        return Interval(self.middle + other.middle, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """Of a multiple."""
        return Interval(self.middle * factor, self.low * factor, self.high * factor)

    def rounded(self, digits: int) -> list[float]:
        """Middle, low, high."""
        return [round(one, digits) for one in self]


def _left_out(count: int) -> int:
    """How many values at each end may be left out of the range that still holds the median in 95 of 100 cases."""
    beyond, left = 0.0, 0
    while left < count:
        beyond += comb(count, left) / 2**count
        if 2 * beyond > 1 - CONFIDENCE:
            break
        left += 1
    return max(left - 1, 0)


def verdict(goal: float, found: Interval, digits: int) -> dict[str, Any]:
    """A goal (at most), and what was found: met or missed only where the whole interval says so."""
    says = "met" if found.high <= goal else "missed" if found.low > goal else "not decided"
    return {"goal": goal, "found": round(found.middle, digits), "interval": found.rounded(digits)[1:], "verdict": says}
