"""The real wandb and mlflow clients, in virtual environments of their own, and the project they are used on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import uv
from filelock import FileLock
from infrastructure.plugin import missing

CACHE = Path.home() / ".cache" / "launch-jobs" / "foreign"
NEW, OLD = "venv", "venv-0.19"
_PACKAGES = {NEW: ("wandb>=0.31,<0.40", "mlflow-skinny>=3,<4"), OLD: ("wandb==0.19.11",)}

REMOTE = "https://me:hunter2@github.com/o/digits.git"
TRAIN = """\
import argparse, json, wandb
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--verbose", action="store_true")
args = parser.parse_args()
run = wandb.init(project="digits", config={**vars(args), "model": {"width": 8}, "tags": ["a", "b"], "seed": 7})
print("RESULT", json.dumps({"args": vars(args), "lr": run.config["lr"], "seed": run.config["seed"]}, sort_keys=True))
run.finish()
"""
ARGUMENTS = ("--lr", "0.1", "--verbose", "--epochs=2")

_BUILD_JOB = """\
import json, shutil, sys
import wandb
from wandb.sdk.internal.job_builder import JobBuilder
files, out = sys.argv[1:]
builder = JobBuilder(wandb.Settings(disable_job_creation=False, job_source="repo"), files_dir=files)
builder.set_config({"lr": 0.1, "epochs": 2, "verbose": True, "model": {"width": 8}, "tags": ["a", "b"], "seed": 7})
builder.set_summary({"loss": 0.2})
artifact = builder.build(None)
print(artifact.name)
for name, entry in artifact.manifest.entries.items():
    shutil.copyfile(entry.local_path, f"{out}/{name}")
"""
_WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"), ("DATE", "2025-01-01T00:00:00Z"))
}


def foreign_python(which: str = NEW) -> str:
    """The interpreter of an environment that has the clients; made once a machine."""
    folder = CACHE / which
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{which}.lock"):
        if not (folder / "complete").exists():
            install = [uv.find_uv_bin(), "pip", "install", "-q", "--python", str(folder / "bin" / "python")]
            make = [uv.find_uv_bin(), "venv", "-q", "--clear", "--python", "3.11", str(folder)]
            for command in (make, [*install, *_PACKAGES[which]]):
                if subprocess.run(command, capture_output=True, check=False, timeout=280).returncode:
                    missing(f"the clients of W&B and MLflow: `{' '.join(command)}` failed")
            (folder / "complete").touch()
    return str(folder / "bin" / "python")


def digits_repository(folder: Path) -> str:
    """Make the project's repository with a change nobody committed; its commit, the same each time."""
    folder.mkdir(parents=True)

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, env=os.environ | _WHO, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "--quiet", "--initial-branch=main")
    (folder / "train.py").write_text(TRAIN)
    (folder / ".gitignore").write_text("wandb/\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=one")
    git("remote", "add", "origin", REMOTE)
    (folder / "train.py").write_text(TRAIN + "# not committed\n")
    return git("rev-parse", "HEAD")


def wandb_run(project: Path, which: str, into: Path) -> Path:
    """Run the project's program with a real client that is offline; the folder it left, as `into`."""
    home = into.parent / f"{into.name}-home"
    home.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "WANDB_MODE": "offline", "WANDB_SAVE_CODE": "true"}
    command = [foreign_python(which), "train.py", *ARGUMENTS]
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, timeout=120)
    made = next((project / "wandb").glob("offline-run-*"))
    shutil.copytree(made, into)
    shutil.rmtree(project / "wandb")
    return into


def wandb_job(files: Path, into: Path) -> str:
    """Let a real client build the job artifact of a run; its name."""
    into.mkdir(parents=True)
    command = [foreign_python(NEW), "-c", _BUILD_JOB, str(files), str(into)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=into, env={"HOME": str(into)})
    return done.stdout.decode().splitlines()[-1]
