"""Jobs that came from W&B and MLflow run on a queue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign.foreign_clients import OLD, digits_repository, wandb_job, wandb_run
from foreign.mlflow_samples import elastic_net
from walking import Road

from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.job import JobVersion
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio


async def said(road: Road, jobs: list[tuple[JobVersion, dict[str, object]]]) -> list[str]:
    """Run jobs on a process queue; the telling line of each one's output."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    runs = [await road.submit(version, queue, **overrides) for version, overrides in jobs]
    lines: list[str] = []
    for run in runs:
        ended = await road.end(run)
        log = b"".join([chunk async for chunk in read_log(run, road.store)]).decode()
        assert ended.state is RunState.COMPLETED, (ended.reason, log, road.agents_said())
        lines += [line for line in log.splitlines() if line.startswith(("RESULT", "ARGUMENTS"))]
    return lines


async def test_an_imported_wandb_job_and_run_run(road: Road, tmp_path: Path) -> None:
    """In the frozen packages; the job reads other values from `wandb.config`, the run gets one other argument."""
    digits_repository(tmp_path / "project")
    run = wandb_run(tmp_path / "project", OLD, tmp_path / "run")
    wandb_job(run / "files", tmp_path / "job")
    asked = Asked(road.store, repository=str(tmp_path / "project"))
    job, again = (import_folder(tmp_path / what, asked, name=f"{what}-{road.mark}").version for what in ("job", "run"))
    offline = {"env": {"WANDB_MODE": "offline"}}
    lines = await said(
        road,
        [(job, {"parameters": {"seed": 11, "lr": 0.25}, **offline}), (again, {"parameters": {"lr": 0.2}, **offline})],
    )
    told = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    assert [(one["seed"], one["lr"]) for one in told] == [(11, 0.25), (7, 0.2)]
    assert told[1]["args"] == {"lr": 0.2, "epochs": 2, "verbose": True}


async def test_an_imported_mlflow_project_runs(road: Road, tmp_path: Path) -> None:
    """One value is another, the rest is as MLproject says."""
    project = elastic_net(tmp_path / "project")
    version = import_folder(project, Asked(road.store), name=f"net-{road.mark}").version
    (line,) = await said(road, [(version, {"parameters": {"alpha": 0.25}})])
    assert json.loads(line.removeprefix("ARGUMENTS "))[:3] == ["0.25", "0.1", "--data=wine data.csv"]
