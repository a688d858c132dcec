"""Runs on a Docker queue, end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Generator

import pytest
from prefect_docker import DockerHost, DockerRegistryCredentials
from pydantic import JsonValue, SecretStr
from walking import Road

from launch_jobs.docker_access import docker_access
from launch_jobs.engine import Login
from launch_jobs.errors import NotFound
from launch_jobs.job import JsonObject
from launch_jobs.names import attempt_name
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run, read_log
from launch_jobs.settings import LaunchSettings
from launch_jobs.submission import Submission, submit

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("docker")]


@pytest.fixture
def road(two_machines: Road) -> Road:
    """Every test of this module captures and submits on one machine, and executes on another."""
    return two_machines


@pytest.fixture
def docker(road: Road, docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Agents of the test build on the base image; the images of its own jobs are gone after it."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    yield
    for digest in road.jobs:
        for image in _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={digest}"):
            _docker("rmi", "-f", image)


def _docker(*arguments: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()


def _container(run: str, *more: str) -> list[str]:
    """The id of the run's container, if it runs (or with `-a`, if it exists)."""
    return _docker("ps", "-q", "--no-trunc", *more, "--filter", f"name=^/{attempt_name(run, 1)}$")


def _script(body: str) -> str:
    """A script that no other test has, so that its image is this test's own."""
    return f"# {uuid.uuid4()}\n{body}\n"


async def _log(road: Road, run: str) -> bytes:
    return b"".join([chunk async for chunk in read_log(run, road.store)])


async def test_a_job_is_built_run_and_its_container_removed(road: Road) -> None:
    """The image holds the source; the run completes; outputs come home; no container is left."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    script = _script('id -u; pwd; echo "{\\"accuracy\\": 1}" > metrics.json; cp metrics.json "$LAUNCH_OUTPUT_DIR"')
    run = await road.submit(road.job(script), queue)
    info = await road.end(run)
    assert (info.state, info.exit_code, info.metrics) == (RunState.COMPLETED, 0, {"accuracy": 1})
    assert (await _log(road, run)).split() == [b"1000", b"/workspace"]
    assert _container(run, "-a") == []


async def test_the_container_holds_no_setting_or_credential_of_ours(road: Road) -> None:
    """Env, labels and command of the container name the run, and nothing of Prefect."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    run = await road.submit(road.job(_script("env; sleep 60")), queue)
    await road.until(run, lambda _: _container(run))
    (body,) = json.loads("".join(_docker("inspect", attempt_name(run, 1))))
    await cancel_run(run)
    await road.end(run)
    assert "PREFECT" not in str(body)
    assert "LAUNCH_JOBS_" not in str(body)
    assert body["Config"]["Labels"]["org.launch-jobs.run"] == run
    assert not body["HostConfig"]["Binds"]
    assert body["HostConfig"]["Privileged"] is False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_the_next_agent_adopts_a_running_container(road: Road, how: signal.Signals) -> None:
    """The container of a dead agent goes on; the next one reports its exit code and its whole log."""
    queue = await road.queue("docker")
    agent = road.agent("-q", queue)
    script = _script("echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two; exit 5")
    run = await road.submit(road.job(script), queue)
    await road.until(run, lambda _: _container(run))
    container = _container(run)
    agent.stop(how)
    assert _container(run) == container
    road.agent("-q", queue)
    _docker("exec", *container, "touch", "/tmp/go")
    info = await road.end(run)
    assert (info.state, info.exit_code, info.attempt) == (RunState.FAILED, 5, 1), info.reason
    assert await _log(road, run) == b"one\ntwo\n"
    assert _container(run, "-a") == []


async def test_cancel_returns_when_the_container_is_gone(road: Road) -> None:
    """Cancelled means that the container does not run any more."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    run = await road.submit(road.job(_script("trap '' TERM; sleep 300")), queue)
    await road.until(run, lambda _: _container(run))
    await cancel_run(run)
    assert (await road.end(run)).state is RunState.CANCELLED
    assert _container(run) == []


async def _submit_with(road: Road, variables: JsonObject) -> str:
    queue = await road.queue("docker")
    road.agent("-q", queue)
    version = road.job(_script("echo from the source"))
    submission = Submission(job=version.reference, queue=queue, variables=variables)
    return str((await submit(submission, road.store)).id)


async def test_a_ready_image_runs_without_a_build(road: Road, docker_base: str) -> None:
    """The job variables `image` and `command` run what is there."""
    run = await _submit_with(road, {"image": docker_base, "command": ["echo", "ready"]})
    info = await road.end(run)
    assert (info.state, info.image) == (RunState.COMPLETED, docker_base)
    assert await _log(road, run) == b"ready\n"


async def test_an_image_that_does_not_exist_fails_in_one_line(road: Road) -> None:
    """The reason names the image; nothing is created."""
    run = await _submit_with(road, {"image": "localhost:1/no-such-image:v1"})
    info = await road.end(run)
    assert info.state is RunState.FAILED
    assert "no-such-image" in (info.reason or "")
    assert "\n" not in (info.reason or "")


async def test_limits_reach_the_container(road: Road, docker_base: str) -> None:
    """Memory and process limits of the job variables are the container's own."""
    command: list[JsonValue] = [
        "sh",
        "-c",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
    ]
    run = await _submit_with(road, {"image": docker_base, "command": command, "memory": "64Mi"})
    await road.end(run)
    assert (await _log(road, run)).split() == [str(64 << 20).encode()]


async def test_while_the_engine_is_away_nothing_is_claimed(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that cannot reach its engine leaves runs on the queue, for one that can."""
    queue = await road.queue("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job(_script("true")), queue)
    await road.until(run, lambda _: "does not answer" in agent.log.read_text())
    assert (await road.until(run, lambda _: True)).state is RunState.SCHEDULED


async def test_one_agent_serves_a_docker_and_a_process_queue(road: Road) -> None:
    """Queues of different types share one process and its slots."""
    docker, process = await road.queue("docker"), await road.queue("process")
    road.agent("-q", docker, "-q", process, "--max-jobs", "1")
    job = road.job(_script("exit 7"))
    ends = [await road.end(await road.submit(job, queue)) for queue in (docker, process)]
    assert [(info.exit_code, (info.place or "").partition(":")[0]) for info in ends] == [(7, "docker"), (7, "process")]


async def test_a_docker_host_block_chooses_the_engine(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that the settings name decides, not the environment of the agent."""
    here, nowhere = f"here-{uuid.uuid4().hex[:8]}", f"nowhere-{uuid.uuid4().hex[:8]}"
    await DockerHost(base_url="unix:///var/run/docker.sock").asave(here)
    await DockerHost(base_url="unix:///nowhere/docker.sock").asave(nowhere)
    queue = await road.queue("docker")
    monkeypatch.setenv("LAUNCH_JOBS_DOCKER_HOST", nowhere)
    lost = road.agent("-q", queue)
    run = await road.submit(road.job(_script("true")), queue)
    await road.until_true(lambda: "/nowhere/docker.sock" in lost.log.read_text())
    lost.stop()
    monkeypatch.setenv("LAUNCH_JOBS_DOCKER_HOST", here)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    road.agent("-q", queue)
    assert (await road.end(run)).state is RunState.COMPLETED


async def test_a_registry_block_is_the_account_to_pull_with(road: Road) -> None:
    """prefect-docker's own credentials block becomes the login; a block that is not there is named."""
    name = f"registry-{uuid.uuid4().hex[:8]}"
    block = DockerRegistryCredentials(username="me", password=SecretStr("secret"), registry_url="registry.example")
    await block.asave(name)
    access = await docker_access(LaunchSettings(home=road.home, docker_registry=name))
    assert access.login == Login("me", "secret", "registry.example")
    with pytest.raises(NotFound, match="nothing-here"):
        await docker_access(LaunchSettings(home=road.home, docker_host="nothing-here"))
