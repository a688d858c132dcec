"""One run's outputs as another run's dataset, and the Python API from a plain script that knows only its home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from users_project import Project, users_project
from walking import Road

from launch_jobs.client import connect
from launch_jobs.errors import BadInput, LaunchError, NotFound
from launch_jobs.keywords import submission_of
from launch_jobs.local.connection import Connection
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

TRAIN = "mkdir $LAUNCH_OUTPUT_DIR/model; echo weights > $LAUNCH_OUTPUT_DIR/model/a; echo b > $LAUNCH_OUTPUT_DIR/b.txt"
READ = """cat $LAUNCH_DATASET_ALL/b.txt $LAUNCH_DATASET_MODEL/a $LAUNCH_DATASET_ONE"""


async def _log(road: Road, run: str) -> bytes:
    return b"".join([chunk async for chunk in read_log(run, road.store)])


async def test_a_run_reads_what_another_left(road: Road) -> None:
    """All of it, a folder of it and a file of it are at their paths; nothing of them stays on the host."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    left = await road.end(await road.submit(road.job(TRAIN), queue))
    urls = {"all": left.output_url(), "Model": left.output_url("model"), "one": left.output_url("model/a")}
    info = await road.end(await road.submit(road.job(READ, "reader"), queue, datasets=urls))
    assert info.state is RunState.COMPLETED, info.reason
    assert await _log(road, info.id) == b"b\nweights\nweights\n"
    folders = [path for name in ("datasets", "runs") for path in (road.home / name).glob("*")]
    assert folders == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("outputs://0199d3a1-0000-7000-8000-000000000000/1", "has no outputs in this store"),
        ("s3://bucket/model", "names no outputs"),
    ],
)
async def test_a_dataset_that_is_not_there_is_refused_at_submit(road: Road, url: str, words: str) -> None:
    """The submit says what is wrong, and nothing is enqueued."""
    queue = await road.queue("process")
    with pytest.raises(BadInput, match=words):
        await road.submit(road.job("exit 0"), queue, datasets={"model": url})
    async with connect() as client:
        named = WorkPoolFilter(name=WorkPoolFilterName(any_=[queue]))
        assert await client.read_flow_runs(work_pool_filter=named) == []


async def test_a_file_that_is_not_there_is_refused_with_what_is(road: Road) -> None:
    """A typing error in the path is answered with the run's outputs."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    left = await road.end(await road.submit(road.job(TRAIN), queue))
    with pytest.raises(NotFound, match=r"b\.txt, model/a"):
        await road.submit(road.job("exit 0"), queue, datasets={"model": left.output_url("modle/a")})


SCRIPT = """
import sys
import launch_jobs as lj
train = lj.capture_folder(sys.argv[1], ["sh", "train.sh"], name="script-train")
read = lj.capture_folder(sys.argv[1], ["sh", "read.sh"], name="script-read")
left = lj.submit(train, queue=sys.argv[2])
print(left.wait(timeout=100).state, left.metrics)
run = lj.submit(read, queue=sys.argv[2], datasets={"all": left, "one": left.output_url("model/a")})
run.wait(timeout=100)
print(run.logs())
"""


@pytest.fixture
def shell(road: Road, connected: Connection, tmp_path: Path) -> Project:
    """A user's shell, which knows of the server by its home only."""
    return users_project(road, connected, tmp_path / "folder")


async def test_a_plain_script_needs_nothing_but_its_home(road: Road, shell: Project) -> None:
    """No exports: the script finds server and store, captures its folder, and hands one run to the next as dataset."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    (shell.folder / "train.sh").write_text(TRAIN + "\necho '{\"loss\": 2}' > $LAUNCH_OUTPUT_DIR/metrics.json\n")
    (shell.folder / "read.sh").write_text("cat $LAUNCH_DATASET_ALL/b.txt $LAUNCH_DATASET_ONE\n")
    said = shell.call("python", "-c", SCRIPT, str(shell.folder), queue)
    assert said.split() == ["completed", "{'loss':", "2}", "b", "weights"]


@pytest.mark.parametrize("first", ["launch_jobs.submission", "launch_jobs.tasks", "launch_jobs"])
def test_every_name_of_the_package_stays_what_it_is(first: str) -> None:
    """Whatever was imported before, each public name is what it says: no module of the same name takes its place."""
    told = "import launch_jobs as lj; print(*[type(getattr(lj, name)).__name__ for name in lj.__all__])"
    command = [sys.executable, "-c", f"import {first}; {told}; {told}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert set(said.split()) == {"function", "type"}


def test_a_wrong_keyword_is_told_in_one_line() -> None:
    """A keyword that there is not, or a value of the wrong kind, is named."""
    with pytest.raises(BadInput, match="querie"):
        submission_of("job", {"querie": 1})  # pyright: ignore[reportArgumentType] # that is the point
    with pytest.raises(LaunchError, match="timeout_s"):
        submission_of("job", {"timeout_s": -1})
