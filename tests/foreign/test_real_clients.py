"""What is imported is what the real clients of W&B and MLflow write and do today (made anew here, offline)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from foreign.foreign_clients import ARGUMENTS, NEW, OLD, digits_repository, foreign_python, wandb_job, wandb_run
from foreign.mlflow_samples import elastic_net

from launch_jobs.arguments import check_parameters, render_arguments
from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.job import JsonObject
from launch_jobs.store.jobs import JobStore

_MLFLOW = """\
import json, subprocess, sys
from mlflow.projects._project_spec import load_project
folder, entry_point, parameters = sys.argv[1:]
point = load_project(folder).get_entry_point(entry_point)
command = point.compute_command(json.loads(parameters), None)
subprocess.run(["bash", "-c", command], cwd=folder, check=True)
"""


@pytest.mark.parametrize("which", [OLD, NEW])
def test_a_run_made_now(which: str, tmp_path: Path, store: JobStore) -> None:
    """Source, command, values and the run's own time."""
    commit = digits_repository(tmp_path / "project")
    folder = wandb_run(tmp_path / "project", which, tmp_path / "run")
    kept = import_folder(folder, Asked(store, repository=str(tmp_path / "project")))
    record = store.records(kept.version)[-1]
    assert kept.version.job.source.model_dump()["commit"] == commit
    assert record.argv == ("python", "train.py", *ARGUMENTS)
    assert record.parameters == {"lr": 0.1, "epochs": 2, "model": {"width": 8}, "tags": ["a", "b"], "seed": 7}
    assert {"wandb", "click"} <= {one.name for one in kept.version.job.environment.distributions}


def test_a_job_made_now(tmp_path: Path, store: JobStore) -> None:
    """By W&B's own builder of jobs, of a run's files."""
    digits_repository(tmp_path / "project")
    run = wandb_run(tmp_path / "project", OLD, tmp_path / "run")
    name = wandb_job(run / "files", tmp_path / "job")
    (tmp_path / "job").rename(tmp_path / name)
    kept = import_folder(tmp_path / name, Asked(store, repository=str(tmp_path / "project")))
    assert (kept.foreign.kind, kept.foreign.name) == ("W&B job", name)
    assert kept.version.job.environment.python == "3.11.7"
    assert kept.version.job.entrypoint.argv[-2:] == ("python", "train.py")


@pytest.mark.parametrize(
    ("entry_point", "parameters"),
    [
        ("main", {}),
        ("main", {"alpha": 0.25, "title": 'it\'s "$HOME" `x` $(y) \\ !'}),
        ("validate", {"model": "s3://bucket/model name"}),
        ("show.py", {}),
    ],
)
def test_programs_get_what_mlflow_gives_them(
    entry_point: str, parameters: JsonObject, tmp_path: Path, store: JobStore
) -> None:
    """The same arguments, byte for byte, as by MLflow's own reading of the project.

    Where a command quotes a place itself, MLflow breaks on values with quotes; ours does not (test_mlproject).
    """
    folder = elastic_net(tmp_path / "project")
    text = (folder / "MLproject").read_text()
    (folder / "MLproject").write_text(text.replace("\\\"<{title}>\\\" '{title}'", "{title}"))
    job = import_folder(folder, Asked(store, entry_point)).version.job
    words = render_arguments(job.inputs, check_parameters(job.inputs, parameters))
    ours = subprocess.run([*job.entrypoint.argv, *words], cwd=folder, capture_output=True, check=True, timeout=60)
    command = [foreign_python(), "-c", _MLFLOW, str(folder), entry_point, json.dumps(parameters)]
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    theirs = subprocess.run(command, env=home, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    assert ours.stdout == theirs.stdout != b""
