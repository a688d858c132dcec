"""Parameters that live in a config file, from `launch run` through a queue to the program."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
from commands import typed
from walking import Road

from launch_jobs.capture.tracked import run_tracked
from launch_jobs.job import JobVersion
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

CONFIG = "# training\nmodel:\n  lr: 0.1   # rate\nepochs: 3\n"
PROGRAM = """
import os, yaml
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conf", "train.yaml")
print(yaml.safe_load(open(path)), open(path).read() == {config!r}, os.access(path, os.W_OK))
"""


@pytest.fixture
def version(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobVersion:
    """A job captured from a run that read a YAML file, and nothing else that could be a parameter."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "project" / "conf").mkdir(parents=True)
    (tmp_path / "project" / "conf" / "train.yaml").write_text(CONFIG)
    mark = f"# {uuid.uuid4()}\n"  # so that its image is this test's own
    (tmp_path / "project" / "train.py").write_text(mark + PROGRAM.format(config=CONFIG))
    command, name = (sys.executable, "train.py"), f"config-{road.mark}"
    ended = run_tracked(command, store=road.store, name=name, directory=tmp_path / "project")
    assert ended.version is not None, ended.problem
    return ended.version


@pytest.fixture
def docker(version: JobVersion, docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Agents of the test build on the base image; the job's images are gone after it."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    yield
    for image in _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={version.digest}"):
        _docker("rmi", "-f", image)


def _docker(*arguments: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()


async def _printed(road: Road, version: JobVersion, queue: str, **parameters: object) -> bytes:
    run = await road.submit(version, queue, parameters=parameters)
    info = await road.end(run)
    said = b"".join([chunk async for chunk in read_log(run, road.store)])
    assert (info.state, info.exit_code) == (RunState.COMPLETED, 0), (info.reason, said)
    assert info.outputs == ()
    return said.strip()


async def test_a_process_reads_its_own_copy(road: Road, version: JobVersion) -> None:
    """One value of the file changes; without a change the file is the captured one, byte for byte."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    assert await _printed(road, version, queue) == b"{'model': {'lr': 0.1}, 'epochs': 3} True True"
    changed = await _printed(road, version, queue, **{"model.lr": 0.5})
    assert changed == b"{'model': {'lr': 0.5}, 'epochs': 3} False True"


@pytest.mark.usefixtures("docker")
async def test_a_container_reads_its_own_copy_of_an_image_for_all(road: Road, version: JobVersion) -> None:
    """The image is built once: what a run changes is put into its container."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    assert b"'lr': 0.1" in await _printed(road, version, queue)
    images = _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={version.digest}")
    changed = await _printed(road, version, queue, **{"model.lr": 0.5})
    assert changed.startswith(b"{'model': {'lr': 0.5}, 'epochs': 3} False")
    assert _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={version.digest}") == images


async def test_a_dry_run_shows_the_change_of_the_file(road: Road, version: JobVersion) -> None:
    """`--dry-run` prints the lines that change; a value of another type is refused."""
    queue = await road.queue("process")
    shown = await typed(road, "submit", version.name, "-q", queue, "--dry-run", "-p", "model.lr=0.5")
    assert (shown.code, "-  lr: 0.1   # rate\n+  lr: 0.5   # rate" in shown.out) == (0, True), shown.err
    refused = await typed(road, "submit", version.name, "-q", queue, "--dry-run", "-p", "model.lr=fast")
    assert (refused.code, "'model.lr'" in refused.err) == (2, True)
