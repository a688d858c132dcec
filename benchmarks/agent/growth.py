"""How memory grows: a straight line through what was measured, with its error. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from launch_jobs.job import Frozen

_LEAST = 3


class Line(Frozen):
    """The least-squares line.

    Attributes:
        slope: rise a step.
        error: standard error of the slope, as far as what it leaves over is chance.
        start: where it begins.
    """

    slope: float
    error: float
    start: float


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line through points; None: there are not three of them at two places or more."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count if count else 0.0
    mean_y = sum(y for _, y in points) / count if count else 0.0
    width = sum((x - mean_x) ** 2 for x, _ in points)
    if count < _LEAST or width == 0:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / width
    start = mean_y - slope * mean_x
    left = sum((y - start - slope * x) ** 2 for x, y in points)
    return Line(slope=slope, error=math.sqrt(left / (count - 2) / width), start=start)


class Growth(Frozen):
    """How an agent's memory grows with the runs that it has served.

    Attributes:
        runs: measured over.
        per_1000: MB for each 1,000 runs, by the line through all points; None: too few points.
        error: the slope's standard error.
        first: MB before these runs.
        last: MB at the end.
        points: runs served in all and MB, as measured.
    """

    runs: int
    per_1000: float | None
    error: float | None
    first: float
    last: float
    points: tuple[tuple[int, float], ...]


def grown(points: list[tuple[int, float]]) -> Growth:
    """What the points say. Pure."""
    line = fit([(done / 1000, size) for done, size in points])
    return Growth(
        runs=points[-1][0] - points[0][0],
        per_1000=round(line.slope, 2) if line else None,
        error=round(line.error, 2) if line else None,
        first=points[0][1],
        last=points[-1][1],
        points=tuple(points),
    )
