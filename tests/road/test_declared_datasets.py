"""A job's own datasets, end to end: each is where the program expects it, and nothing starts with another content."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from walking import Road

from launch_jobs.capture import capture_folder
from launch_jobs.job import JobVersion
from launch_jobs.queue import create_queue
from launch_jobs.run import RunState
from launch_jobs.runs import read_log
from launch_jobs.targets.configuration import DockerConfiguration
from launch_jobs.targets.template import base_job_template, with_operator_fields

pytestmark = pytest.mark.anyio

PROGRAM = """
cat data/train/deep/x.txt $LAUNCH_DATASET_ABS data/one.txt
echo "$LAUNCH_DATASET_TRAIN" "$LAUNCH_DATASET_ONE" | sed "s|$PWD|.|g"
readlink data/train/link; ls -l data/train/deep/x.txt | cut -c1-10
echo mine > data/mine.txt && cat data/mine.txt
"""


def _job(road: Road, folder: Path) -> JobVersion:
    """A program whose data is ignored, and partly elsewhere; the data is gone once it is captured."""
    source, data = folder / "source", folder / "source" / "data"
    (data / "train" / "deep").mkdir(parents=True)
    (data / "train" / "deep" / "x.txt").write_text("x\n")
    (data / "train" / "link").symlink_to("deep/x.txt")
    (data / "one.txt").write_text("one\n")
    (folder / "abs.txt").write_text("abs\n")
    (source / ".launchignore").write_text("data\n")
    (source / "run.sh").write_text(f"# {uuid.uuid4()}\n{PROGRAM}")
    declared = {"train": str(data / "train"), "one": str(data / "one.txt"), "abs": str(folder / "abs.txt")}
    name = f"declared-{road.mark}"
    version = capture_folder(source, ["sh", "run.sh"], store=road.store, name=name, datasets=declared)
    road.jobs.append(version.digest)
    (folder / "abs.txt").unlink()
    data.rename(folder / "gone")
    return version


async def _log(road: Road, run: str) -> list[str]:
    return b"".join([chunk async for chunk in read_log(run, road.store)]).decode().splitlines()


EXPECTED = ["x", "abs", "one", "./data/train ./data/one.txt", "deep/x.txt", "-r--r--r--", "mine"]


async def test_a_process_finds_its_data_in_its_checkout(road: Road, tmp_path: Path) -> None:
    """Data of the source tree lies there; what was elsewhere is named by its variable. All of it is gone after."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    info = await road.end(await road.submit(_job(road, tmp_path), queue))
    assert info.state is RunState.COMPLETED, info.reason
    assert await _log(road, info.id) == EXPECTED
    assert [path for name in ("datasets", "runs", "sources") for path in (road.home / name).glob("*")] == []


async def test_another_run_s_output_takes_a_dataset_s_place(road: Road, tmp_path: Path) -> None:
    """`--dataset one=outputs://…` is at the path where the program expects `one`; a folder for a file is refused."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    left = await road.end(await road.submit(road.job("echo other > $LAUNCH_OUTPUT_DIR/a"), queue))
    given = {"one": left.output_url("a")}
    info = await road.end(await road.submit(_job(road, tmp_path), queue, datasets=given))
    assert (await _log(road, info.id))[2] == "other"


async def test_a_dataset_that_is_gone_ends_the_run_before_its_program(road: Road, tmp_path: Path) -> None:
    """The run fails with the reason; the program printed nothing."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    version = _job(road, tmp_path)
    blob = version.origin.datasets["one"].blob or ""
    for file in (road.home / "store").rglob(blob.removeprefix("sha256:")):
        file.write_bytes(b"broken")
    info = await road.end(await road.submit(version, queue))
    assert info.state in {RunState.FAILED, RunState.CRASHED}
    assert "x" not in await _log(road, info.id)


@pytest.fixture
def docker(road: Road, docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Agents of the test build on the base image; the images of its own jobs are gone after it."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    yield
    for digest in road.jobs:
        listed = ["images", "-q", "--filter", f"label=org.launch-jobs.job-digest={digest}"]
        found = subprocess.run(["docker", *listed], check=True, capture_output=True, text=True).stdout.split()
        for image in found:
            subprocess.run(["docker", "rmi", "-f", image], check=True, capture_output=True)


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize("delivery", ["copy", "mount"])
async def test_a_container_has_its_data_where_it_was(road: Road, tmp_path: Path, delivery: str) -> None:
    """In the source tree and at an absolute path, read-only; copied, or mounted from the agent's cache."""
    queue, values = f"docker-{uuid.uuid4().hex[:8]}", {"dataset_delivery": delivery}
    template = with_operator_fields(base_job_template(DockerConfiguration), DockerConfiguration, values)
    await create_queue(queue, "docker", template=template)
    road.queues.append(queue)
    road.agent("-q", queue)
    version = _job(road, tmp_path)
    for _ in range(2):
        info = await road.end(await road.submit(version, queue))
        assert info.state is RunState.COMPLETED, info.reason
        assert await _log(road, info.id) == EXPECTED
    cached = [path for path in (road.home / "dataset-cache").glob("*") if path.is_dir()]
    assert len(cached) == (3 if delivery == "mount" else 0)
