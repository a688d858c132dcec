"""A job's record says what it was made from: a run around its capture, a checked-out job, what a run left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launch_jobs.capture.lineage import parents_of
from launch_jobs.job import Dataset, Parent

RUN = "3f0c6f0e-0000-4000-8000-000000000001"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and a project with a script."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def launch(*words: str) -> dict[str, Any]:
    """Run a command of ours; its JSON."""
    done = subprocess.run([sys.executable, "-m", "launch_jobs", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_of_a_checkout_names_the_one_that_was_checked_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has the job's tree and nothing else; another folder of that name is no checkout."""
    first = launch("run", "--json", "--", sys.executable, "train.py")
    launch("job", "checkout", "--json", "train", str(home / "again"))
    assert [file.name for file in (home / "again").iterdir()] == ["train.py"]
    monkeypatch.chdir(home / "again")
    (home / "again" / "train.py").write_text("print(2)\n")
    launch("run", "--json", "--name", "second", "--", sys.executable, "train.py")

    assert launch("job", "show", "--json", "second")["made_from"] == [
        {"how": "checkout", "run": None, "job": first["reference"]},
    ]
    assert launch("job", "show", "--json", "train")["made_from"] == []
    (home / "again").rename(home / "moved")
    (home / "again").mkdir()
    assert parents_of(home / "again", (), {}) == ()


def test_a_job_captured_inside_a_run_names_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """job ← run ← job, as `launch job show` tells it."""
    monkeypatch.setenv("LAUNCH_RUN_ID", RUN)
    monkeypatch.setenv("LAUNCH_JOB", "outer@sha256:00")
    launch("run", "--json", "--", sys.executable, "train.py")

    assert launch("job", "show", "--json", "train")["made_from"] == [
        {"how": "run", "run": RUN, "job": "outer@sha256:00"},
    ]
    command = [sys.executable, "-m", "launch_jobs", "job", "show", "train"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"run {RUN} of outer@sha256:00" in " ".join(shown.split())


def test_what_a_run_left_names_that_run(home: Path) -> None:
    """A dataset that is another run's outputs is a parent, once; other data is not."""
    outputs = (Dataset(name=name, url=f"outputs://{RUN}/1/{name}") for name in ("a", "b"))
    found = parents_of(home, [*outputs, Dataset(name="c", url="s3://bucket/key")], {})
    assert found == (Parent(how="outputs", run=RUN),)
