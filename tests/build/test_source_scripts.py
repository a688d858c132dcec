"""Console scripts and plugins of packages that live in the source tree, which nothing installs again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from launch_jobs.build.requirements import source_metadata, source_scripts
from launch_jobs.job import Distribution, Environment

POINTS = """[console_scripts]
hello = tool.cli:app.main
odd = os; x:y
[tool.plugins]
one = tool.one:One
"""


def environment(points: str | None) -> Environment:
    """Of a job with one package in its source tree."""
    tool = Distribution(name="tool", version="1.0", origin="source", url=".", entry_points=points)
    return Environment(python="3.11.7", distributions=(tool,))


def test_a_console_script_runs_on_the_python_beside_it(tmp_path: Path) -> None:
    """With its arguments and exit code, wherever the environment is; a name with a space is no hindrance."""
    folder = tmp_path / "an environment"
    (folder / "tool").mkdir(parents=True)
    (folder / "tool/cli.py").write_text(
        "import sys\nclass app:\n    def main():\n        print(sys.argv)\n        return 3\n"
    )
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name, text in {**source_scripts(environment(POINTS)), "python": (folder / "python").read_text()}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    words = [str(folder / "hello"), "--lr", "a b"]
    done = subprocess.run(
        words, env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, f"{words}\n")


def test_a_line_that_is_no_entry_point_becomes_no_code() -> None:
    """It comes from a file of the user's machine, and ends in an image."""
    assert source_scripts(environment(POINTS)).keys() == {"hello"}


def test_plugins_are_found_by_their_group() -> None:
    """The whole text is the package's metadata in the image."""
    files = source_metadata(environment(POINTS))
    assert files["tool-1.0.dist-info/entry_points.txt"] == POINTS
    assert "tool-1.0.dist-info/entry_points.txt" not in source_metadata(environment(None))
