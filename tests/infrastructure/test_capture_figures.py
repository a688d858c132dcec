"""The pure parts of the capture benchmark: what differences say, and what they do not."""

from __future__ import annotations

import argparse
import random

import pytest

from benchmarks.capture.events import added_by_events
from benchmarks.capture.interval import Interval, verdict
from benchmarks.capture.report import TITLES, Measured, document, table
from benchmarks.capture.tracking import Pairs, Times


def test_an_interval_is_what_tables_of_the_sign_test_say() -> None:
    """Of 12 values the two outermost on each side may be left out, of 30 nine; of five none."""
    assert Interval.of(range(1, 13)) == (6.5, 3, 10)
    assert Interval.of(range(1, 31)) == (15.5, 10, 21)
    assert Interval.of([5, 1, 2, 3, 4]) == (3, 1, 5)


def test_an_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """Of 400 samples of a skewed noise, with medians known, all but some 5 % have it inside."""
    numbers = random.Random(0)
    samples = [Interval.of([numbers.expovariate(0.6931471805599453) for _ in range(12)]) for _ in range(400)]

    assert sum(one.low <= 1 <= one.high for one in samples) >= 375


@pytest.mark.parametrize(
    ("found", "says"), [((1, 0, 2), "met"), ((3, 2, 4), "not decided"), ((4, 3.1, 5), "missed"), ((2, 1, 3), "met")]
)
def test_a_goal_is_judged_only_by_the_whole_interval(found: tuple[float, float, float], says: str) -> None:
    """A goal inside the interval is not decided, wherever the median is."""
    assert verdict(3, Interval(*found), 1)["verdict"] == says


def test_events_of_all_kinds_add_up() -> None:
    """A thousand opens of 2 µs and a million others of 100 ns are 102 ms."""
    costs = {"other": Interval(100, 90, 120), "known_open": Interval(2000, 1000, 3000), "new_open": Interval(9, 9, 9)}
    added = added_by_events(costs, {"other": 1e6, "known_open": 1000, "new_open": 0})

    assert added == pytest.approx((0.102, 0.091, 0.123))


def test_the_report_says_what_is_not_decided() -> None:
    """One goal of each kind, and a row a program."""
    plain = [Times(1.0, 1.0)] * 6
    pairs = Pairs(plain, [Times(1.05, 1.0 + added) for added in (0.04, 0.05, 0.05, 0.05, 0.05, 0.06)])
    repository = {
        "times": 3,
        "starts": 6,
        "git": dict.fromkeys(("status_s", "diff_s", "checkout_s", "hashing_s", "total_s"), 1.0),
        "total_s": 5.0,
        "ratio": Interval(4.0, 3.5, 5.0),
        "before_s": Interval(0.49, 0.45, 0.52),
        "before_processor_s": Interval(0.4, 0.3, 0.5),
        "python_start_s": 0.01,
        "command_line_start_s": 0.08,
    }
    kinds: tuple[str, ...] = ("other", "known_open", "new_open")
    costs: dict[str, Interval] = dict.fromkeys(kinds, Interval(100, 90, 110))
    events: dict[str, float] = dict.fromkeys(kinds, 1e5)
    options = argparse.Namespace(json=True, files=10_000, dirty=200)
    report = document(Measured(dict.fromkeys(TITLES, pairs), costs, events, repository), options)

    said = {name: goal["verdict"] for name, goal in report["goals"].items()}
    assert said == {
        "tracking_percent": "missed",
        "tracking_ms": "met",
        "before_program_s": "not decided",
        "repository_ratio": "missed",
    }
    assert all(f"| {title} | 6 |" in table(report) for title in TITLES.values())
    assert "before_program_s 0.49 (0.45 … 0.52; goal at most 0.5): not decided" in table(report)
