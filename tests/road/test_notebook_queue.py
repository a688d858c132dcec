"""A notebook with numpy, captured here, runs on queues elsewhere with another value of its parameters' cell."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from walking import Road

from launch_jobs.capture.tracked import run_tracked
from launch_jobs.job import JobVersion
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

CELLS: tuple[tuple[str, list[str]], ...] = (
    ("lr = 0.5\nsteps = 3", ["parameters"]),
    ("%matplotlib inline\nimport numpy as np\nimport beside", []),
    ("total = float(np.full(steps, lr).sum())\nprint('total', total, beside.VALUE)", []),
)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved notebook beside a module, no other test's."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "beside.py").write_text(f"# {uuid.uuid4()}\nVALUE = 7\n")
    cells = [
        {
            "cell_type": "code",
            "source": text,
            "metadata": {"tags": tags},
            "execution_count": 1,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}],
        }
        for text, tags in CELLS
    ]
    document: dict[str, object] = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (folder / "sum.ipynb").write_text(json.dumps(document))
    return folder / "sum.ipynb"


@pytest.fixture
def base(docker_base: str, two_machines: Road, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Agents build on the tests' base image; what they built is gone afterwards."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    yield
    for digest in two_machines.jobs:
        wanted = ["docker", "images", "-q", "--filter", f"label=org.launch-jobs.job-digest={digest}"]
        for image in subprocess.run(wanted, check=True, capture_output=True, text=True).stdout.split():
            subprocess.run(["docker", "rmi", "-f", image], check=True, capture_output=True)


def captured(road: Road, notebook: Path) -> JobVersion:
    """The job of the notebook, run here first."""
    ended = run_tracked([notebook.name], store=road.store, directory=notebook.parent, name=f"sum-{road.mark}")
    assert ended.version, ended.problem
    road.jobs.append(ended.version.digest)
    return ended.version


async def launched(road: Road, version: JobVersion, queue_type: str) -> str:
    """What the job printed on a queue of that type, with another parameter."""
    queue = await road.queue(queue_type)
    road.agent("-q", queue)
    run = await road.submit(version, queue, parameters={"lr": 2})
    info = await road.end(run)
    log = b"".join([chunk async for chunk in read_log(run, road.store)]).decode()
    assert (info.state, info.exit_code) == (RunState.COMPLETED, 0), f"{info.reason} {log} {road.agents_said()}"
    return log


async def test_notebook_on_a_process_queue(two_machines: Road, notebook: Path) -> None:
    """Its environment is made there, and only the named parameter is another."""
    version = captured(two_machines, notebook)
    assert await launched(two_machines, version, "process") == "total 6.0 7\n"


@pytest.mark.usefixtures("base")
async def test_notebook_on_a_docker_queue(two_machines: Road, notebook: Path) -> None:
    """The same in an image that is built of it."""
    version = captured(two_machines, notebook)
    assert await launched(two_machines, version, "docker") == "total 6.0 7\n"
