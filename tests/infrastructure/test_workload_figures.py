"""The pure parts of the workloads: what jobs and lines themselves tell, judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.workloads.lines import kept, lags, shown_at
from benchmarks.workloads.report import rows_of
from benchmarks.workloads.witness import Seen, inversions, jain, judged, seen


def test_a_witness_tells_first_begins_ends_and_what_began_twice(tmp_path: Path) -> None:
    """A line that was cut by a kill tells nothing."""
    file = tmp_path / "witness"
    file.write_text("begin 0 1.5\nend 0 2.5\nbegin 1 2.0\nbegin 1 3.0\nend 1 4.0\nbegin 2")

    assert seen(file) == Seen(begins={0: 1.5, 1: 2.0}, ends={0: 2.5, 1: 4.0}, doubled=(1,))
    assert seen(tmp_path / "none") == Seen(begins={}, ends={}, doubled=())


def test_inversions_count_pairs_in_the_wrong_order() -> None:
    """By number, or by rank; those of one rank may begin in any order."""
    assert inversions({0: 1.0, 1: 2.0, 2: 3.0}) == 0
    assert inversions({0: 3.0, 1: 2.0, 2: 1.0}) == 3
    assert inversions({0: 3.0, 1: 2.0, 2: 1.0}, rank=[1, 1, 0]) == 0
    assert inversions({0: 1.0, 1: 2.0, 2: 3.0}, rank=[1, 1, 0]) == 2


def test_fairness_is_1_for_equals_and_1_of_n_for_one_who_has_all() -> None:
    """Jain's index."""
    assert jain([2, 2, 2]) == pytest.approx(1)
    assert jain([6, 0, 0]) == pytest.approx(1 / 3)


def test_a_death_is_judged_by_what_the_jobs_wrote() -> None:
    """One told well that never ended is wrong, and one told badly that did; one not told is never over."""
    found = Seen(begins={0: 1, 1: 1, 2: 1}, ends={0: 2, 2: 2}, doubled=(2,))

    assert judged(["a", "b", "c", "d"], {"a": True, "b": True, "c": False}, found) == {
        "never_begun": 1,
        "never_over": 1,
        "doubled": 1,
        "wrong": 2,
    }


def test_lines_are_lost_doubled_or_out_of_order() -> None:
    """Of five lines the last never came, one came twice, and one too late."""
    assert kept([0, 2, 1, 2, 3], 5) == {"lost": 1, "doubled": 1, "reordered": 1}
    assert kept(range(5), 5) == {"lost": 0, "doubled": 0, "reordered": 0}


def test_lag_is_from_a_lines_time_to_the_first_count_that_holds_it() -> None:
    """Three lines of which two were there at 2 s, and all at 5 s."""
    pairs = shown_at([1.0, 1.0, 1.5], [(0.0, 0), (2.0, 2), (5.0, 3)])

    assert pairs == [(1.0, 2.0), (1.0, 2.0), (1.5, 5.0)]
    assert lags(pairs) == {"lag_median_s": 1.0, "lag_p95_s": 3.5}
    assert lags([]) == {"lag_median_s": None, "lag_p95_s": None}


def test_a_load_with_rounds_has_a_row_for_each() -> None:
    """One without has a row for each peer."""
    assert rows_of({"a": {"1": {"jobs": 1}, "2": {"jobs": 1}}, "b": {"jobs": 2}}) == [
        ("a, 1", {"jobs": 1}),
        ("a, 2", {"jobs": 1}),
        ("b", {"jobs": 2}),
    ]
