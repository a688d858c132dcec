"""Habits of projects: `uv run` and its like, PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.arguments import with_further
from launch_jobs.build.requirements import source_paths
from launch_jobs.capture.entrypoint import Located, search_path
from launch_jobs.capture.interpreter import Program
from launch_jobs.capture.runner import inner_command, inner_name
from launch_jobs.errors import BadInput
from launch_jobs.job import Environment


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


def test_the_search_path_of_the_users_shell_goes_along_as_far_as_it_is_source(tmp_path: Path) -> None:
    """PYTHONPATH names folders of the tree from where the program runs; others mean nothing elsewhere."""
    root = tmp_path / "tree"
    located = Located(
        Program(("python", "a.py"), Path("/usr/bin/python3")), root / "sub", root, frozenset({"src/m.py", "sub/a.py"})
    )
    (root / "sub").mkdir(parents=True)
    given = f"../src:{root}/src:/usr/lib:{root}/.venv::."
    assert search_path(located, {"PYTHONPATH": given}) == ("src", "sub")
    assert search_path(located, {"PYTHONPATH": ""}) == ()
    assert source_paths(Environment(search_path=("src", "."))) == ("src", ".")
    with pytest.raises(BadInput, match="PYTHONPATH is outside"):
        source_paths(Environment(search_path=("../x",)))


def test_a_further_option_of_a_run_stands_where_it_is_one() -> None:
    """Behind `--` it would be read as a value of the program."""
    assert with_further(("--n=1", "--", "a"), ("-f",)) == ("--n=1", "-f", "--", "a")
    assert with_further(("--", "a"), ("b",)) == ("--", "a", "b")
    assert with_further(("--n=1",), ("-f", "b")) == ("--n=1", "-f", "b")
