"""How far a build is, by the lines that builders really write."""

from __future__ import annotations

import pytest

from launch_jobs.build.progress import BuildProgress, Step, read_step


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("#7 [2/5] RUN apt-get update", Step(2, 5)),
        ("#9 [stage-1 3/4] COPY . /workspace", Step(3, 4, "stage-1")),
        ("Step 2/5 : RUN true", Step(2, 5)),
        ("#1 [internal] load build definition", None),
        ("copied 3/4 of the files", None),
        ("Installed 12 packages", None),
    ],
)
def test_a_step_is_read_from_either_builder(line: str, step: Step | None) -> None:
    """BuildKit's and the classic builder's lines tell steps, others do not."""
    assert read_step(line) == step


def _percents(*lines: str) -> list[float]:
    progress, percents = BuildProgress(), list[float]()
    for line in lines:
        progress.read(line)
        percents.append(progress.percent)
    return percents


def test_a_step_that_begins_is_not_done() -> None:
    """The last step of five begins at 80 %."""
    assert _percents("#5 [1/5] FROM base", "#9 [5/5] RUN true") == [0.0, 80.0]


def test_stages_add_up() -> None:
    """Two stages at once count together."""
    assert _percents("#5 [a 2/4] RUN x", "#6 [b 3/4] RUN y") == [25.0, 37.5]


def test_a_second_image_never_makes_it_fall() -> None:
    """The environment's image is done when the job's begins; the bar waits instead of going back."""
    assert _percents("Building launch/env:1", "#5 [4/4] RUN x", "Building launch/job:2", "#5 [1/4] FROM env") == [
        *(0.0, 75.0),
        *(75.0, 75.0),
    ]
