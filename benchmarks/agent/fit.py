"""A straight line through what was measured, with its error. Pure."""

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
