"""The flows `capture-job` and `build-image`, deployed, and run by an agent from what their forms send."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun
from walking import Road

from launch_jobs.client import connect
from launch_jobs.job import JsonObject
from launch_jobs.names import JobRef

pytestmark = pytest.mark.anyio

TRAIN = (
    'import os, pathlib\npathlib.Path(os.environ["LAUNCH_OUTPUT_DIR"], "metrics.json").write_text(\'{"loss": 1}\')\n'
)


@pytest.fixture
def road(two_machines: Road) -> Road:
    """Captured and submitted on one machine, executed on another."""
    return two_machines


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def remotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator of the agents' machine allows folders as remotes."""
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", "file:///")


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """URL of a git repository with a program in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    for words in ("init -q -b main", "add .", "-c user.name=u -c user.email=u@example.com commit -qm first"):
        _run("git", *words.split(), folder=folder)
    return folder.as_uri()


async def _deployed(road: Road, queue_type: str, folder: Path) -> str:
    """The project, deployed to a queue with an agent; the queue."""
    queue = await road.queue(queue_type)
    project = folder / queue
    _run(sys.executable, "-m", "launch_jobs", "init", str(project), folder=folder)
    text = yaml.safe_load((project / "prefect.yaml").read_text())
    for deployment in text["deployments"]:
        deployment["name"] += f"-{queue}"
        deployment["work_pool"] = {"name": queue, "work_queue_name": "medium"}
    (project / "prefect.yaml").write_text(yaml.safe_dump(text))
    _run(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", folder=project)
    road.agent("-q", queue)
    return queue


async def _send(deployment: str, form: JsonObject) -> UUID:
    """Create a run as the UI does, with the form's values."""
    async with connect() as client:
        found = await client.read_deployment_by_name(deployment)
        return (await client.create_flow_run_from_deployment(found.id, parameters=form)).id


async def _end(road: Road, run: UUID) -> FlowRun:
    await road.until(str(run), lambda info: info.state.is_final)
    async with connect() as client:
        return await client.read_flow_run(run)


async def test_a_repository_becomes_a_registered_job_that_runs(road: Road, tmp_path: Path, repository: str) -> None:
    """The form of `capture-job` makes a version of the repository, and its own deployment on the queue named there."""
    queue = await _deployed(road, "process", tmp_path)
    name = f"remote-{road.mark}"
    form: JsonObject = {"source": repository, "entrypoint": ["python", "train.py"], "name": name, "ref": "main"}
    captured = await _end(road, await _send(f"capture-job/capture-{queue}", {**form, "queue": queue}))
    assert (captured.state_name, captured.parameters["source"]) == ("Completed", repository)
    version = road.store.resolve(JobRef.parse(name))
    assert version.job.entrypoint.argv == ("python", "train.py")
    info = await road.end(str(await _send(f"launch-job/job.{name}", {})))
    assert (info.metrics, info.queue, info.job) == ({"loss": 1}, queue, version.reference)


async def test_the_forms_say_what_their_fields_mean(road: Road, tmp_path: Path) -> None:
    """Each field of the two forms has a description, and only what is needed is required."""
    queue = await _deployed(road, "process", tmp_path)
    async with connect() as client:
        capture = await client.read_deployment_by_name(f"capture-job/capture-{queue}")
        build = await client.read_deployment_by_name(f"build-image/build-{queue}")
    for deployment, fields, required in (
        (capture, {"source", "entrypoint", "name", "ref", "queue"}, ["source", "entrypoint"]),
        (build, {"job"}, ["job"]),
    ):
        schema = cast("JsonObject", deployment.parameter_openapi_schema)
        properties = cast("dict[str, JsonObject]", schema["properties"])
        assert (set(properties), schema["required"]) == (fields, required)
        assert all(field.get("description") for field in properties.values())


WRONG: dict[str, JsonObject] = {
    "cannot fetch 'HEAD' from file:///nowhere/at-all": {"source": "file:///nowhere/at-all"},
    "/nowhere/else": {"source": "/nowhere/else"},
    "no-such-branch": {"ref": "no-such-branch"},
    "missing.py": {"entrypoint": ["python", "missing.py"]},
    "command": {"entrypoint": []},
    "There is no queue 'no-such-queue'": {"queue": "no-such-queue"},
}
"""What a run's state says, by what is wrong in its form."""


async def test_a_wrong_field_is_told_in_one_line(road: Road, tmp_path: Path, repository: str) -> None:
    """The run says in its state what is wrong, in one line, and no traceback goes into the agent's log."""
    queue = await _deployed(road, "process", tmp_path)
    form: JsonObject = {"source": repository, "entrypoint": ["python", "train.py"], "name": f"wrong-{road.mark}"}
    sent = {words: await _send(f"capture-job/capture-{queue}", {**form, **wrong}) for words, wrong in WRONG.items()}
    for words, run in sent.items():
        state = (await _end(road, run)).state
        assert state is not None
        assert state.name in {"Failed", "Crashed"}
        assert words in (state.message or "")
        assert "\n" not in (state.message or "")
    assert "Traceback" not in road.agents_said()


async def test_an_environment_is_built_ahead(road: Road, tmp_path: Path) -> None:
    """`build-image` on a process queue completes, and on a job that there is not it fails in one line."""
    queue = await _deployed(road, "process", tmp_path)
    job = road.job("exit 0")
    assert (await _end(road, await _send(f"build-image/build-{queue}", {"job": job.label}))).state_name == "Completed"
    failed = await _end(road, await _send(f"build-image/build-{queue}", {"job": "no-such-job"}))
    assert failed.state is not None
    assert (failed.state_name, (failed.state.message or "").splitlines()) == ("Failed", [failed.state.message])
    assert "no-such-job" in (failed.state.message or "")


async def test_an_image_is_built_ahead(road: Road, tmp_path: Path, docker_base: str) -> None:
    """`build-image` on a docker queue makes the image that a run of the job finds built."""
    del docker_base
    queue = await _deployed(road, "docker", tmp_path)
    job = road.job(f"echo {road.mark}")
    built = await _end(road, await _send(f"build-image/build-{queue}", {"job": job.reference}))
    assert built.state_name == "Completed"
    run = await road.submit(job, queue)
    assert (await road.end(run)).metrics == {}
    assert "is built already" in road.agents_said()
