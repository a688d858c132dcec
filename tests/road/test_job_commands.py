"""Jobs and the server: a job's own deployment, and deleting jobs that runs may need."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

import pytest
from prefect.exceptions import ObjectNotFound
from test_command_line import launch
from walking import Road

from launch_jobs.capture import capture_code, capture_image
from launch_jobs.client import connect
from launch_jobs.deployments import FLOW_NAME
from launch_jobs.job import JobVersion, JsonObject
from launch_jobs.runs import cancel_run
from launch_jobs.store.jobs import open_store
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"lr": {"type": "number"}, "n": {"type": "integer"}},
    "required": ["n"],
}
ECHO = "import json, os; print(json.loads(os.environ['LAUNCH_PARAMETERS'])['lr'])"


def _job(road: Road, text: str = "", name: str | None = None) -> JobVersion:
    """A version of a job with two parameters, one of them required."""
    folder = road.home / "code" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(f"{ECHO}\n# {text}\n")
    name = name or f"job-{uuid.uuid4().hex[:8]}"
    return capture_code(folder, [sys.executable, "train.py"], store=road.store, name=name, schema=SCHEMA)


async def _deployment(name: str) -> tuple[str | None, str | None]:
    """Version and queue of a job's deployment; both None without one."""
    async with connect() as client:
        try:
            found = await client.read_deployment_by_name(f"{FLOW_NAME}/job.{name}")
        except ObjectNotFound:
            return None, None
    return found.version, found.work_pool_name


async def test_register_gives_a_form_and_a_default_queue(road: Road) -> None:
    """The form has the job's parameters with the given default; a submit without -q goes to that queue."""
    version, queue = _job(road), await road.queue("process")
    await road.queue("process")  # so that one queue is not the only one
    said = await launch(road, "job", "register", version.name, "-q", queue, "-p", "lr=0.5", "--json")
    made = json.loads(said.out)
    assert (said.code, made["queue"], made["parameters"]) == (0, queue, {"lr": 0.5})
    async with connect() as client:
        form = (await client.read_deployment(made["id"])).parameter_openapi_schema
    assert form is not None
    shown = form["properties"]["parameters"]["properties"]
    assert {name: one["type"] for name, one in shown.items()} == {"lr": "number", "n": "integer"}
    sent = json.loads(
        (await launch(road, "submit", version.name, "-p", "lr=2", "-p", "n=1", "--dry-run", "--json")).out
    )
    assert sent["queue"] == queue


@pytest.mark.parametrize(("arguments", "words"), [(("-q", "nowhere"), "nowhere"), (("-q", "Q", "-p", "lr=x"), "lr")])
async def test_what_cannot_be_registered(road: Road, arguments: tuple[str, ...], words: str) -> None:
    """An unknown queue or a wrong default is one line, and there is no deployment."""
    version, queue = _job(road), await road.queue("process")
    typed = [queue if word == "Q" else word for word in arguments]
    said = await launch(road, "job", "register", version.name, *typed)
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert words in said.err
    assert await _deployment(version.name) == (None, None)


@pytest.mark.parametrize("named", ["digest", "version", "alias"])
async def test_a_job_that_a_queued_run_needs_is_kept(road: Road, named: str) -> None:
    """However the run names it; when the run is cancelled the job can go, and its deployment goes with it."""
    version, queue = _job(road), await road.queue("process")
    await launch(road, "job", "register", version.name, "-q", queue)
    run = await _enqueue(road, version, queue, named)
    for arguments in ((version.label,), (version.name, "--all")):
        said = await launch(road, "job", "delete", *arguments)
        assert (said.code, run in said.err) == (3, True), said.err
    assert road.store.numbers(version.name) == [0]
    await cancel_run(run)
    said = await launch(road, "job", "delete", version.name, "--all", "--json")
    assert json.loads(said.out)["deleted"] == ["v0"], said.err
    assert (road.store.names(), await _deployment(version.name)) == ([], (None, None))


async def _enqueue(road: Road, version: JobVersion, queue: str, named: str) -> str:
    """A run that waits, as `submit` makes it, or as a form in the UI does."""
    if named == "digest":
        submission = Submission(job=version.reference, queue=queue, parameter_texts={"lr": "1", "n": "1"})
        return str((await submit(submission, road.store)).id)
    text = version.label if named == "version" else version.name
    async with connect() as client:
        generic = await client.read_deployment_by_name(f"{FLOW_NAME}/queue.{queue}")
        return str((await client.create_flow_run_from_deployment(generic.id, parameters={"job": text})).id)


async def test_the_deployment_of_a_deleted_version_launches_the_newest_left(road: Road) -> None:
    """The form goes on working; a run of another version does not hold a version up."""
    first, queue = _job(road, "one"), await road.queue("process")
    second = _job(road, "two", first.name)
    await launch(road, "job", "register", first.name, "-q", queue)
    assert await _deployment(first.name) == (second.label, queue)
    run = await _enqueue(road, first, queue, "digest")
    assert (await launch(road, "job", "delete", second.label)).code == 0
    assert await _deployment(first.name) == (first.label, queue)
    await cancel_run(run)


async def test_delete_without_an_answer_from_the_server_deletes_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then which runs need it: code 4."""
    version = _job(road)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert (await launch(road, "job", "delete", version.label)).code == 4
    assert road.store.numbers(version.name) == [0]


async def test_an_imported_job_runs(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file carries a job to a home that has nothing else of it, and an agent there runs it."""
    version, queue = _job(road), await road.queue("process")
    file = str(tmp_path / "job")
    assert (await launch(road, "job", "export", version.name, file)).code == 0
    here = Road(tmp_path / "other", open_store((tmp_path / "other" / "store").as_uri()))
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(here.home))
    assert (await launch(here, "job", "import", file)).code == 0
    road.agents.append(here.agent("-q", queue))
    said = await launch(here, "submit", version.name, "-q", queue, "-p", "lr=0.25", "-p", "n=1", "--watch")
    assert (said.code, "0.25" in said.out.splitlines()) == (0, True), said.err


async def test_an_image_becomes_a_job(road: Road, docker_base: str) -> None:
    """`create image` takes the command after --, else the image's own."""
    name = f"image-{uuid.uuid4().hex[:8]}"
    said = await launch(road, "job", "create", "image", docker_base, "--name", name, "--json", "--", "echo", "hello")
    assert said.code == 0, said.err
    made = road.store.versions(name)[0]
    assert (made.job.source.type, made.job.entrypoint.argv) == ("image", ("echo", "hello"))
    assert made.digest == capture_image(docker_base, ["echo", "hello"], store=road.store, name=name).digest
