"""Tracked runs of real programs: what becomes a job, what a record, and what the program must not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from launch_jobs.arguments import render_arguments
from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.errors import BadInput
from launch_jobs.job import CaptureRecord, JobVersion
from launch_jobs.store.jobs import JobStore, open_store

TRAIN = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
parser.add_argument("--epochs", type=int, default=2)
args = parser.parse_args()
{middle}
with open("metrics.json", "w") as file:
    json.dump({{"accuracy": 1 - args.lr}}, file)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """An empty store, and a home of the test's own."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a training script."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text(TRAIN.format(middle=""))
    return tmp_path / "project"


@pytest.fixture
def run(store: JobStore, project: Path) -> Callable[..., TrackedRun]:
    """Runs a command in the project, tracked."""

    def tracked(*command: str) -> TrackedRun:
        return run_tracked(command, store=store, directory=project)

    return tracked


def captured(ended: TrackedRun) -> tuple[JobVersion, CaptureRecord]:
    """The job and record of a run whose capture went well."""
    assert ended.problem is None
    assert ended.version is not None
    assert ended.record is not None
    return ended.version, ended.record


def git(folder: Path, *arguments: str) -> None:
    """Run git there as a user with a name."""
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["git", "code"])
def test_two_runs_one_edited_meanwhile_give_one_version(
    kind: str, store: JobStore, project: Path, tmp_path: Path
) -> None:
    """Two learning rates, and an edit during the first run: one version with the source as it began, two records."""
    begun, edited = tmp_path / "begun", tmp_path / "edited"
    os.mkfifo(begun)
    os.mkfifo(edited)
    code = TRAIN.format(middle=f"open({str(begun)!r}, 'w').close(); open({str(edited)!r}).close()")
    (project / "train.py").write_text(code)
    if kind == "git":
        git(project, "init")
        git(project, "add", ".")
        git(project, "commit", "-m", "one")

    def edit(new: str) -> None:
        begun.read_text()
        (project / "train.py").write_text(new)
        edited.write_text("")

    versions: list[JobVersion] = []
    for rate, new in (("0.5", "edited = True\n"), ("0.25", code)):
        editor = threading.Thread(target=edit, args=(new,))
        editor.start()
        command = (sys.executable, "train.py", "--lr", rate)
        versions.append(captured(run_tracked(command, store=store, directory=project))[0])
        editor.join()
        (project / "train.py").write_text(code)

    assert [version.label for version in versions] == ["train:v0", "train:v0"]
    assert versions[0].job.source.type == kind
    records = store.records(versions[0])
    assert [record.parameters["lr"] for record in records] == [0.5, 0.25]
    assert [record.outputs for record in records] == [("metrics.json",)] * 2


def test_job_holds_no_parameter_values(run: Callable[..., TrackedRun]) -> None:
    """The entrypoint is the bare command, and schema and options give the arguments back."""
    version, record = captured(run(sys.executable, "train.py", "--lr=0.5"))

    assert version.job.entrypoint.argv == ("python", "train.py")
    assert record.parameters == {"lr": 0.5, "epochs": 2}
    assert render_arguments(version.job.inputs, record.parameters) == ("--lr=0.5",)


def test_only_what_the_users_venv_holds_is_in_the_job(
    run: Callable[..., TrackedRun], project: Path, tmp_path: Path
) -> None:
    """A program in a venv with only numpy: no distribution of Launch Jobs or Prefect is in its job."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy"], check=True, capture_output=True)
    (project / "train.py").write_text("import numpy\nprint(numpy.ones(3).sum())\n")

    version, record = captured(run(str(python), "train.py"))

    assert [one.name for one in version.job.environment.distributions] == ["numpy"]
    assert {one.name for one in record.freeze} <= {"numpy", "pip", "setuptools"}


def test_lazy_imports_and_declared_requirements_are_in_the_environment(
    run: Callable[..., TrackedRun], project: Path
) -> None:
    """What another parameter would import, and what requirements.txt names, is there; with what they require."""
    (project / "train.py").write_text("def later():\n    import jsonschema\n")
    (project / "requirements.txt").write_text("click>=8  # a comment\n-r other.txt\nnot-installed-anywhere\n")

    version, _ = captured(run(sys.executable, "train.py"))

    names = {one.name for one in version.job.environment.distributions}
    assert {"jsonschema", "click", "attrs", "referencing"} <= names
    assert names.isdisjoint({"prefect", "pip", "launch-jobs", "pytest", "numpy"})


def test_failed_run_is_captured(run: Callable[..., TrackedRun], project: Path) -> None:
    """A script that fails leaves a job and a record with its exit code."""
    (project / "train.py").write_text("raise SystemExit(9)\n")

    ended = run(sys.executable, "train.py")

    assert ended.exit_code == 9
    assert captured(ended)[1].exit_code == 9


def test_killed_run_says_what_was_not_seen(run: Callable[..., TrackedRun], project: Path) -> None:
    """A program that a signal ends has exit code 128+n, its imports in the job, and a note."""
    (project / "train.py").write_text("import os, click\nos.kill(os.getpid(), 9)\n")

    version, record = captured(run(sys.executable, "train.py"))

    assert record.exit_code == 137
    assert [one.name for one in version.job.environment.distributions] == ["click"]
    assert any("without Python's own end" in note for note in record.notes)


def test_code_from_standard_input_is_no_job(run: Callable[..., TrackedRun], store: JobStore) -> None:
    """Nothing keeps such code, so a launch of it would do nothing: the program's end stands, and a line says why."""
    ended = run("sh", "-c", "exit 5")
    assert (ended.exit_code, ended.version is not None) == (5, True)

    ended = run(sys.executable, "-")

    assert (ended.version, store.names()) == (None, ["sh"])
    assert "standard input" in (ended.problem or "") and "file" in (ended.problem or "")


def test_isolated_python_is_captured_from_its_source(run: Callable[..., TrackedRun], project: Path) -> None:
    """With -I nothing is seen; imports are found by reading the source, and the record says so."""
    (project / "train.py").write_text("import click\n")

    version, record = captured(run(sys.executable, "-I", "train.py", "--lr", "1"))

    assert version.job.entrypoint.argv == ("python", "-I", "train.py", "--lr", "1")
    assert [one.name for one in version.job.environment.distributions] == ["click"]
    assert any("-I" in note for note in record.notes)


def test_shell_script_is_captured(run: Callable[..., TrackedRun], project: Path) -> None:
    """A program in another language becomes a job with its argument list, without Python."""
    (project / "go.sh").write_text("#!/bin/sh\necho hi > out.txt\nexit 4\n")
    (project / "go.sh").chmod(0o755)

    ended = run("./go.sh", "now")

    version, record = captured(ended)
    assert (ended.exit_code, version.name) == (4, "go")
    assert version.job.entrypoint.argv == ("./go.sh", "now")
    assert version.job.environment.python is None
    assert record.outputs == ("out.txt",)
    assert any("no Python program" in note for note in record.notes)


def test_what_cannot_be_rendered_keeps_the_argument_list_whole(run: Callable[..., TrackedRun], project: Path) -> None:
    """What cannot be rendered again exactly stays as it was typed, and the record says why."""
    (project / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\n"
        "p.add_argument('words', nargs=argparse.REMAINDER)\np.parse_args()\n"
    )

    version, record = captured(run(sys.executable, "train.py", "fit", "--lr", "1"))

    assert version.job.entrypoint.argv == ("python", "train.py", "fit", "--lr", "1")
    assert version.job.inputs.options == ()
    assert any("kept whole" in note for note in record.notes)


def test_outputs_of_earlier_runs_are_not_source(run: Callable[..., TrackedRun], project: Path) -> None:
    """A file that the last run left is no source of the next; one that the user changed since is."""
    first, _ = captured(run(sys.executable, "train.py"))
    second, _ = captured(run(sys.executable, "train.py"))
    (project / "metrics.json").write_text('{"mine": true}')
    third, _ = captured(run(sys.executable, "train.py"))

    assert (first.version, second.version, third.version) == (0, 0, 1)


def test_capture_that_fails_keeps_exit_code_and_raw_record(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that breaks during the run costs the job, not the run; what was seen is kept, and said where."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    broken = open_store((tmp_path / "store").as_uri())
    (project / "train.py").write_text(
        f"import shutil\nshutil.rmtree({str(tmp_path / 'store')!r})\n"
        f"open({str(tmp_path / 'store')!r}, 'w').close()\nraise SystemExit(3)\n"
    )

    ended = run_tracked([sys.executable, "train.py"], store=broken, directory=project)

    assert (ended.exit_code, ended.version) == (3, None)
    assert ended.problem is not None
    assert "\n" not in ended.problem
    (raw,) = (tmp_path / "home" / "captures").glob("*/*.log")
    assert str(raw.parent) in ended.problem


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ([], "empty"),
        (["no-such-program"], "no program"),
        ([sys.executable, "missing.py"], "missing.py"),
        ([sys.executable, "-m"], "module"),
        (["./train.py"], "not executable"),
        ([sys.executable, "../elsewhere.py"], "outside the source"),
    ],
)
def test_bad_commands_are_refused_before_anything_runs(
    command: list[str], word: str, run: Callable[..., TrackedRun], store: JobStore, project: Path
) -> None:
    """Each gives one clear line, and leaves no job."""
    (project.parent / "elsewhere.py").write_text("open('ran', 'w')\n")

    with pytest.raises(BadInput, match=word) as refused:
        run(*command)

    assert "\n" not in str(refused.value)
    assert not (project / "ran").exists()
    assert store.names() == []


DRIVER = """
import sys
from pathlib import Path
from launch_jobs.capture.tracked import run_tracked
from launch_jobs.store.jobs import open_store
ended = run_tracked(sys.argv[2:], store=open_store(sys.argv[1]), directory=Path.cwd())
sys.exit(ended.exit_code)
"""


def test_input_output_and_descriptors_reach_the_program(store: JobStore, project: Path, tmp_path: Path) -> None:
    """Under a tracked run the program reads and writes what it would without, byte for byte."""
    (project / "train.py").write_text(
        "import sys, os\nsys.stdout.buffer.write(sys.stdin.buffer.read() + b'\\xff')\nsys.stderr.write('e')\n"
        "os.write(int(sys.argv[1]), b'through')\nsys.exit(5)\n"
    )
    answers: list[object] = []
    plain = [sys.executable, "train.py"]
    for prefix in ([], [sys.executable, "-c", DRIVER, (tmp_path / "store").as_uri()]):
        reading, writing = os.pipe()
        done = subprocess.run(
            [*prefix, *plain, str(writing)],
            cwd=project,
            input=b"\0in",
            capture_output=True,
            pass_fds=[writing],
            check=False,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answers.append((done.returncode, done.stdout, done.stderr, pipe.read()))

    assert answers[0] == answers[1] == (5, b"\0in\xff", b"e", b"through")


@pytest.mark.parametrize(("number", "to_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_signals_reach_the_program(
    number: signal.Signals, to_group: bool, store: JobStore, project: Path, tmp_path: Path
) -> None:
    """SIGTERM to us is passed on, Ctrl-C reaches both; the program ends in its own way, and is captured."""
    (project / "train.py").write_text(
        "import signal, sys\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(6))\nprint('ready', flush=True)\nsignal.pause()\n"
    )
    command = [sys.executable, "-c", DRIVER, (tmp_path / "store").as_uri(), sys.executable, "train.py"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, start_new_session=True) as driver:
        assert driver.stdout is not None
        try:
            driver.stdout.readline()
            (os.killpg if to_group else os.kill)(driver.pid, number)
            assert driver.wait(60) == 6
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)

    (version,) = store.versions("train")
    assert [record.exit_code for record in store.records(version)] == [6]


def test_track_adds_parameters_to_the_record(run: Callable[..., TrackedRun], project: Path) -> None:
    """`track` inside the script tells the record what the command line does not."""
    tracker = Path(__file__).parents[2] / "launch_jobs" / "tracker" / "track.py"
    (project / "track.py").write_text(tracker.read_text())
    (project / "train.py").write_text("from track import track\nwith track('t', parameters={'depth': 3}):\n    pass\n")

    _, record = captured(run(sys.executable, "train.py"))

    assert record.parameters == {"depth": 3}


def test_track_gives_launched_parameters(project: Path) -> None:
    """In a launched run the launch's parameters go over the script's own."""
    from launch_jobs.tracker.track import track

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAUNCH_RUN_ID", "1")
        patch.setenv("LAUNCH_PARAMETERS", json.dumps({"lr": 0.5}))
        with track("t", parameters={"lr": 0.1, "depth": 3}) as handle:
            assert handle.parameters == {"lr": 0.5, "depth": 3}
