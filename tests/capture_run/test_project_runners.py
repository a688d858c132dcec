"""Commands by `uv run` and its like: a job has the command that they start."""

from __future__ import annotations

import pytest

from launch_jobs.capture.runner import inner_command, inner_name


@pytest.mark.parametrize(
    ("typed", "inner", "name"),
    [
        ("uv run main.py --n 3", "python main.py --n 3", "main"),
        ("uv run -q --with rich --extra=gpu -- src/train.py", "python src/train.py", "train"),
        ("uv -q run --python 3.11 python -u train.py", "python -u train.py", "train"),
        ("uv run -m pkg.train --lr 1", "python -m pkg.train --lr 1", "train"),
        ("uv run --frozen wordtool --top 1", "wordtool --top 1", "wordtool"),
        ("poetry run python3 train.py", "python3 train.py", "train"),
        ("/opt/conda/bin/conda run -n ml --live-stream python x.py", "python x.py", "x"),
        ("uv run --directory sub main.py", "", ""),
        ("uv pip run", "", ""),
        ("uv run", "", ""),
        ("python run", "", ""),
    ],
)
def test_the_command_behind_a_runner(typed: str, inner: str, name: str) -> None:
    """The runner and its own options are left out; what would run elsewhere is left as it is."""
    assert inner_command(typed.split()) == tuple(inner.split())
    assert inner_name(typed.split()) == name
