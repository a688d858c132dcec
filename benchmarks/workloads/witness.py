"""What the jobs themselves wrote, and what follows from it. Pure, but for the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from launch_jobs.job import Frozen


class Seen(Frozen):
    """What jobs did, by number.

    Attributes:
        begins: when a job first began.
        ends: when it ended.
        doubled: jobs that began more than once.
    """

    begins: dict[int, float]
    ends: dict[int, float]
    doubled: tuple[int, ...]


def seen(file: Path) -> Seen:
    """What is in the file that the jobs write."""
    text = file.read_text() if file.exists() else ""
    rows = [line.split() for line in text.splitlines() if line.count(" ") == 2]
    begins = [(int(number), float(moment)) for what, number, moment in rows if what == "begin"]
    ends = {int(number): float(moment) for what, number, moment in rows if what == "end"}
    often = Counter(number for number, _ in begins)
    return Seen(begins=dict(reversed(begins)), ends=ends, doubled=tuple(sorted(job for job in often if often[job] > 1)))


def inversions(begins: Mapping[int, float], rank: Sequence[int] | None = None) -> int:
    """Pairs of jobs of which the one that should begin first began last; none if they rank the same.

    Args:
        begins: when each began.
        rank: each job's, the smallest first; None: its number.
    """
    pairs = combinations(sorted(begins), 2)
    if rank is None:
        return sum(begins[one] > begins[other] for one, other in pairs)
    return sum((rank[one] - rank[other]) * (begins[one] - begins[other]) < 0 for one, other in pairs)


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all have the same, 1/n if one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def judged(jobs: list[str], told: dict[str, bool], found: Seen) -> dict[str, int]:
    """What is lost, doubled or told wrong. Pure.

    Args:
        jobs: their ids, by number.
        told: whether the peer says that they ended well, if it says that they are over.
        found: what the jobs themselves wrote.
    """
    return {
        "never_begun": sum(number not in found.begins for number in range(len(jobs))),
        "never_over": sum(job not in told for job in jobs),
        "doubled": len(found.doubled),
        "wrong": sum(
            told.get(job) is not None and told[job] != (number in found.ends) for number, job in enumerate(jobs)
        ),
    }
