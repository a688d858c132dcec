"""The README's example runs as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.settings import LaunchSettings

ROOT = Path(__file__).parents[2]


def _example() -> str:
    found = re.search(r"## Example\n\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def somewhere(tmp_path: Path) -> Path:
    """A copy of what the example needs, with room for what it leaves."""
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    return tmp_path


def test_the_readme_example_runs(somewhere: Path) -> None:
    """Every line succeeds, and the model is there at the end."""
    assert len(_example().splitlines()) <= 15
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(somewhere),
        "LAUNCH_JOBS_HOME": str(somewhere / "home"),
        "LAUNCH_JOBS_PORT": "0",
    }
    done = subprocess.run(
        ["bash", "-euc", _example()],
        cwd=somewhere / "clone",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        results = somewhere / "clone" / "examples" / "digits" / "results"
        assert json.loads((results / "metrics.json").read_text())["accuracy"] > 0.9
        assert (results / "model.joblib").stat().st_size > 1000
    finally:
        _take_down(somewhere / "home")


def _take_down(home: Path) -> None:
    from launch_jobs.local.lifecycle import down

    down(LaunchSettings(home=home, port=0), say=print)
