"""`launch_jobs.track()` in a script that plain Python started: captured as under `launch run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.errors import NotFound
from launch_jobs.job import CaptureRecord, JobVersion
from launch_jobs.names import JobRef
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import open_store

SCRIPT = """
import sys
import early
import launch_jobs
with launch_jobs.track("mine", parameters={"seed": 3}) as run:
    import argparse, os, subprocess
    import late
    parser = argparse.ArgumentParser()
    parser.add_argument("--end", default="")
    end = parser.parse_args().end
    open("out.txt", "w").write(str(run.parameters))
    subprocess.run([sys.executable, "-c", "open('from child', 'w').close()"])
    print("program", flush=True)
    exec(end)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the script, and a home of the test's own."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in {"script.py": SCRIPT, "early.py": "", "late.py": ""}.items():
        (folder / name).write_text(text)
    return folder


def run(project: Path, end: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with plain Python."""
    command = [sys.executable, "script.py", "--end", end]
    return subprocess.run(
        command, cwd=project, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def captured() -> tuple[JobVersion, CaptureRecord]:
    """The job and its one record."""
    store = open_store(load_settings().store_url)
    version = store.resolve(JobRef.parse("mine"))
    (record,) = store.records(version)
    return version, record


@pytest.mark.parametrize(("end", "code"), [("", 0), ("1 / 0", 1)])
def test_script_becomes_a_job_with_parameters_and_outputs(project: Path, end: str, code: int) -> None:
    """Source, arguments, parameters, outputs (those of children too) and end are captured; stdout is its own."""
    done = run(project, end)
    version, record = captured()

    assert (done.returncode, done.stdout) == (code, "program\n")
    assert "Captured mine:v0" in done.stderr
    assert version.job.entrypoint.argv == ("python", "script.py")
    assert {"end": end, "seed": 3} == record.parameters
    assert (record.exit_code, record.outputs) == (code, ("from child", "out.txt"))


def test_an_exit_code_that_nobody_sees_is_said_to_be_unknown(project: Path) -> None:
    """The record does not pass 0 off as what the script ended with."""
    assert run(project, "raise SystemExit(3)").returncode == 3
    _, record = captured()
    assert any("one given to sys.exit is not known" in note for note in record.notes)


def test_sigkill_leaves_a_job_too(project: Path) -> None:
    """What was seen until then is captured by the process beside the script."""
    done = run(project, "os.kill(os.getpid(), 9)")
    version, record = captured()

    assert done.returncode == -9
    assert record.outputs == ("from child", "out.txt")
    assert "launch-jobs" in [one.name for one in version.job.environment.distributions]


def test_it_can_be_switched_off(project: Path) -> None:
    """With LAUNCH_TRACK=off the script runs as without us."""
    done = run(project, "", LAUNCH_TRACK="off")

    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(NotFound):
        captured()
