"""Tracked runs of everything that starts Python: launchers, shell scripts, console scripts, several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.job import CaptureRecord, JobVersion
from launch_jobs.store.jobs import open_store

TRAIN = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args()
import extra
open("out" + os.environ.get("RANK", ""), "w").write(str(args.lr))
"""

TORCHRUN = """
import argparse, os, subprocess, sys
parser = argparse.ArgumentParser()
parser.add_argument("--nproc", type=int, default=1)
parser.add_argument("-m", "--module", action="store_true")
parser.add_argument("script")
parser.add_argument("script_args", nargs=argparse.REMAINDER)
args = parser.parse_args()
command = [sys.executable, "-u", *["-m"] * args.module, args.script, *args.script_args]
ranks = [{**os.environ, "RANK": str(rank), "WORLD_SIZE": str(args.nproc)} for rank in range(args.nproc)]
workers = [subprocess.Popen(command, env=environment) for environment in ranks]
sys.exit(max(worker.wait() for worker in workers))
"""

ACCELERATE = """
import os, subprocess, sys
def main():
    assert sys.argv[1] == "launch"
    words = sys.argv[2:]
    while words[0].startswith("--"):
        words = words[2:]
    sys.exit(subprocess.run([sys.executable, *words], env={**os.environ, "MIXED_PRECISION": "no"}).returncode)
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a training script, launchers that stand in for torchrun and accelerate, and shell scripts."""
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    files = {"train.py": TRAIN, "extra.py": "", "fakerun.py": TORCHRUN, "fakerate.py": ACCELERATE}
    files |= {"pkg/__init__.py": "", "pkg/__main__.py": TRAIN, "pkg/part.py": TRAIN}
    files |= {"run.sh": '#!/bin/sh\npython train.py "$@"\n', "fixed.sh": "python train.py --lr 7\n"}
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[JobVersion, CaptureRecord]]:
    """Runs a command in the project, tracked; with our Python as `python`."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    store = open_store((tmp_path / "store").as_uri())

    def tracked(*command: str) -> tuple[JobVersion, CaptureRecord]:
        ended: TrackedRun = run_tracked(command, store=store, directory=project)
        assert (ended.exit_code, ended.problem) == (0, None)
        assert ended.version is not None
        assert ended.record is not None
        return ended.version, ended.record

    return tracked


Run = Callable[..., tuple[JobVersion, CaptureRecord]]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("python train.py --lr 0.5", "python train.py"),
        ("python -u -m pkg --lr 0.5", "python -u -m pkg"),
        ("python -m pkg.part --lr 0.5", "python -m pkg.part"),
        ("python -mtrain --lr 0.5", "python -mtrain"),
        ("python -m fakerun --nproc 2 train.py --lr 0.5", "python -m fakerun --nproc 2 train.py"),
        ("python fakerun.py --nproc 2 -m pkg.part --lr 0.5", "python fakerun.py --nproc 2 -m pkg.part"),
        ("python -m fakerate launch --num 1 train.py --lr 0.5", "python -m fakerate launch --num 1 train.py"),
        ("./run.sh --lr 0.5", "./run.sh"),
        ("sh run.sh --lr 0.5", "sh run.sh"),
        ("env A=1 python train.py --lr 0.5", "env A=1 python train.py"),
    ],
)
def test_parameters_are_those_of_the_script_behind_any_launcher(run: Run, command: str, kept: str) -> None:
    """The command keeps its launcher whole, and the script's own parameters can be given anew."""
    version, record = run(*command.split())

    assert version.job.entrypoint.argv == tuple(kept.split())
    assert record.parameters == {"lr": 0.5}
    assert "lr" in version.job.inputs.parameters_schema["properties"]  # pyright: ignore[reportOperatorIssue]


@pytest.mark.parametrize("command", [("sh", "fixed.sh"), ("sh", "-c", "python train.py"), ("./run.sh",)])
def test_a_script_that_may_hand_nothing_on_has_no_parameters(run: Run, command: tuple[str, ...]) -> None:
    """Where nothing shows that arguments reach the script, none are promised."""
    version, record = run(*command)

    assert (version.job.entrypoint.argv, record.parameters) == (command, {})


def test_all_ranks_are_one_job(run: Run) -> None:
    """What each worker wrote is an output of the one run."""
    _, record = run("python", "-m", "fakerun", "--nproc", "3", "train.py")

    assert record.outputs == ("out0", "out1", "out2")
    assert record.parameters == {"lr": 0.1}


def test_console_scripts_are_programs_of_their_environment(run: Run, project: Path, tmp_path: Path) -> None:
    """An entry point of the user's own package, installed editable in a venv, is captured with its parameters."""
    (project / "train.py").write_text(f"def main():\n{TRAIN.replace(chr(10), chr(10) + '    ')}\n")
    project_file = '[project]\nname = "trainer"\nversion = "1"\n[project.scripts]\ntrain-it = "train:main"\n'
    (project / "pyproject.toml").write_text(
        project_file + '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[tool.setuptools]\npy-modules = ["train", "extra"]\n'
    )
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "-q", "-e", "."], check=True, cwd=project)
    version, record = run(str(venv / "bin" / "train-it"), "--lr", "0.5")

    assert version.job.entrypoint.argv == ("train-it",)
    assert record.parameters == {"lr": 0.5}
    assert [(one.name, one.origin) for one in version.job.environment.distributions] == [("trainer", "source")]


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
def test_what_processes_of_a_pool_import_is_seen(run: Run, project: Path, kind: str) -> None:
    """A distribution that only a worker imports belongs to the job, whichever way the worker was started."""
    (project / "train.py").write_text(
        "import importlib, multiprocessing\n"
        "def work(name):\n    importlib.import_module(name)\n    open('by worker', 'w').close()\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context('{kind}').Pool(1) as pool:\n        pool.map(work, ['jsonschema'])\n"
    )
    version, record = run("python", "train.py")

    assert "jsonschema" in [one.name for one in version.job.environment.distributions]
    assert record.outputs == ("by worker",)
