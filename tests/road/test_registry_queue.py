"""A queue whose images go to a registry, end to end: agent, Prefect server, Docker Engine, Debian's docker-registry."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Generator
from dataclasses import dataclass

import pytest
from infrastructure.registry import ACCOUNT, Answer, RegistryProcess, proxy_before
from prefect_docker import DockerRegistryCredentials
from pydantic import SecretStr
from walking import Road

from blocks import Registry as RegistryBlock
from launch_jobs.capture import capture_image
from launch_jobs.capture.source import snapshot_source
from launch_jobs.docker_access import DockerAccess, with_registry
from launch_jobs.engine import opened
from launch_jobs.errors import BadInput, NotFound
from launch_jobs.job import Entrypoint, ImageSource, Job, JobVersion
from launch_jobs.queue import create_queue
from launch_jobs.run import RunState
from launch_jobs.runs import read_log
from launch_jobs.submission import Submission, submit
from launch_jobs.targets.configuration import DockerConfiguration
from launch_jobs.targets.template import base_job_template, with_operator_fields

pytestmark = pytest.mark.anyio


@pytest.fixture
def road(two_machines: Road) -> Road:
    """Captured and submitted on one machine, executed on another."""
    return two_machines


@dataclass
class Works:
    """A road, the namespace of its images in a registry, and the base that they are built on."""

    road: Road
    namespace: str
    base: str

    async def queue(self, address: str, **fields: object) -> str:
        """A docker queue with a Registry block of its own."""
        block = f"registry-{uuid.uuid4().hex[:8]}"
        made = RegistryBlock.model_validate({"address": address, "namespace": self.namespace, **fields})
        await made.asave(block)
        return await self.queue_with(block)

    async def queue_with(self, block: str) -> str:
        """A docker queue that names a Registry block."""
        name = f"docker-{uuid.uuid4().hex[:8]}"
        template = base_job_template(DockerConfiguration)
        await create_queue(
            name, "docker", template=with_operator_fields(template, DockerConfiguration, {"registry": block})
        )
        self.road.queues.append(name)
        return name

    def job(self) -> JobVersion:
        """A job whose image has one small file, and cannot run."""
        folder = self.road.home / "code" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f"FROM scratch\nCOPY Dockerfile /\nLABEL test={self.namespace}\n")
        with snapshot_source(folder, self.road.store) as snapshot:
            job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=("/none",)), dockerfile="Dockerfile")
            self.road.jobs.append(job.digest)
            return self.road.store.add(f"small-{self.namespace}", job, snapshot.origin)

    def forget(self) -> None:
        """Remove the jobs' images from the engine, as if it were another machine's."""
        with opened() as engine:
            for job in self.road.jobs:
                for image in engine.images(filters={"label": f"org.launch-jobs.job-digest={job}"}):
                    engine.remove_image(str(image["Id"]), force=True)

    def said(self, pattern: str) -> bool:
        """Whether an agent said so."""
        return any(re.search(pattern, agent.log.read_text()) for agent in self.road.agents)


@pytest.fixture
def works(road: Road, namespace: str, docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Works]:
    """Agents of the test build on the base image; the engine knows nothing of its images afterwards."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    made = Works(road, namespace, docker_base)
    yield made
    made.forget()


async def test_a_run_uses_the_digest_and_another_machine_pulls_it(
    works: Works, docker_registry: RegistryProcess
) -> None:
    """Built and pushed for the first run; for the second, on an engine without it, pulled and not built."""
    queue = await works.queue(docker_registry.address)
    agent = works.road.agent("-q", queue)
    job = works.road.job(f"echo {works.namespace}")
    first = await works.road.end(await works.road.submit(job, queue))
    pattern = rf"{docker_registry.address}/{works.namespace}/job@sha256:[0-9a-f]{{64}}"
    assert (first.state, bool(re.fullmatch(pattern, first.image or ""))) == (RunState.COMPLETED, True), first
    assert works.said(f"Pushed {first.image}")
    agent.stop()
    works.forget()
    other = works.road.agent("-q", queue)
    second = await works.road.submit(job, queue)
    assert (await works.road.end(second)).image == first.image
    assert f"Pulling {first.image}" in other.log.read_text()
    assert "Building" not in other.log.read_text()
    assert b"".join([chunk async for chunk in read_log(second, works.road.store)]).decode().strip() == works.namespace


async def test_launch_build_pushes(works: Works, docker_registry: RegistryProcess) -> None:
    """And says by which reference the image is run from then on."""
    block = f"registry-{uuid.uuid4().hex[:8]}"
    await RegistryBlock.model_validate({"address": docker_registry.address, "namespace": works.namespace}).asave(block)
    command = [sys.executable, "-m", "launch_jobs", "build", works.job().reference, "--registry", block, "--json"]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, cwd=works.road.home)
    built = json.loads(ended.stdout)
    digest = docker_registry.digest(f"{works.namespace}/job", built["digest"].removeprefix("sha256:"))
    assert built["image"] == f"{docker_registry.address}/{works.namespace}/job@{digest}"


async def test_a_registry_that_stops_is_waited_for(works: Works, docker_registry: RegistryProcess) -> None:
    """The run says what it waits for, and goes on by itself."""
    queue = await works.queue(docker_registry.address)
    docker_registry.stop()
    works.road.agent("-q", queue)
    run = await works.road.submit(works.road.job(f"echo {works.namespace}"), queue)
    await works.road.until_true(lambda: works.said("registry does not answer.*trying again"))
    docker_registry.start()
    assert (await works.road.end(run)).state is RunState.COMPLETED


async def test_a_wrong_password_fails_the_run_in_one_line(works: Works, closed_registry: RegistryProcess) -> None:
    """With what to do; the password is in no log."""
    queue = await works.queue(closed_registry.address, username=ACCOUNT[0], password="wrong-word")
    works.road.agent("-q", queue)
    info = await works.road.end(await works.road.submit(works.job(), queue))
    assert (info.state, info.image) == (RunState.FAILED, None)
    assert re.search(r"The registry refuses; .*Registry block", info.reason or "")
    assert "\n" not in (info.reason or "")
    assert not works.said("wrong-word")


def _lie(answer: Answer) -> None:
    """Say a digest of its own for every manifest."""
    if "/manifests/" in answer.path and "Docker-Content-Digest" in answer.headers:
        answer.headers["Docker-Content-Digest"] = "sha256:" + "1" * 64


async def test_a_lying_registry_fails_the_run(works: Works, docker_registry: RegistryProcess) -> None:
    """Nothing runs; the reason says what was pushed."""
    with proxy_before(docker_registry) as proxy:
        proxy.change = _lie
        queue = await works.queue(proxy.address)
        works.road.agent("-q", queue)
        info = await works.road.end(await works.road.submit(works.job(), queue))
    assert info.state is RunState.FAILED
    assert re.search(r"registry lies about .* pushed sha256:[0-9a-f]{64}", info.reason or "")
    assert info.place is None


async def test_a_queue_that_names_no_block_fails_its_runs(works: Works) -> None:
    """The reason names the block."""
    queue = await works.queue_with("no-such-block")
    works.road.agent("-q", queue)
    info = await works.road.end(await works.road.submit(works.job(), queue))
    assert (info.state, "no-such-block" in (info.reason or "")) == (RunState.FAILED, True)


async def test_a_submitter_cannot_choose_the_registry(works: Works, docker_registry: RegistryProcess) -> None:
    """It is no job variable."""
    queue = await works.queue(docker_registry.address)
    submission = Submission(job=works.job().reference, queue=queue, variables={"registry": "mine"})
    with pytest.raises(BadInput, match="unknown job variable 'registry'"):
        await submit(submission, works.road.store)


async def test_a_ready_image_of_the_registry_is_pulled_with_its_account(
    works: Works, closed_registry: RegistryProcess
) -> None:
    """The job is of an image that only the registry has; its arguments reach the program."""
    account = {"username": ACCOUNT[0], "password": ACCOUNT[1]}
    repository = f"{closed_registry.address}/{works.namespace}/ready"
    with opened() as engine:
        engine.tag(works.base, repository, "1")
        list(engine.push(repository, "1", stream=True, auth_config=account, decode=True))
        job = capture_image(f"{repository}:1", ["sh", "-c", 'echo "$@"', "sh"], store=works.road.store)
        engine.remove_image(f"{repository}:1")
    queue = await works.queue(closed_registry.address, **account)
    works.road.agent("-q", queue)
    run = await works.road.submit(job, queue, args=("one", "two words"))
    info = await works.road.end(run)
    with opened() as engine:
        engine.remove_image(info.image or "")
    assert isinstance(job.job.source, ImageSource)
    assert (info.state, info.image) == (RunState.COMPLETED, f"{repository}@{job.job.source.digest}")
    assert b"".join([chunk async for chunk in read_log(run, works.road.store)]) == b"one two words\n"


async def test_a_credentials_block_is_the_account(works: Works) -> None:
    """prefect-docker's own, if it is for that registry; and not beside an account."""
    name = f"account-{uuid.uuid4().hex[:8]}"
    block = DockerRegistryCredentials(username="me", password=SecretStr("word"), registry_url="https://reg.example/v2/")
    await block.asave(name)
    fields = {"namespace": works.namespace, "credentials": name}
    await RegistryBlock.model_validate({"address": "reg.example", **fields}).asave(f"{name}-right")
    await RegistryBlock.model_validate({"address": "other.example", **fields}).asave(f"{name}-wrong")
    await RegistryBlock.model_validate({"address": "reg.example", **fields, "username": "me"}).asave(f"{name}-both")
    access = await with_registry(DockerAccess(), f"{name}-right")
    assert access.registry
    assert access.registry.login
    assert access.registry.login.auth_config == {"username": "me", "password": "word", "serveraddress": "reg.example"}
    for wrong, told in (("wrong", r"other\.example.*reg\.example"), ("both", "username or a password, not both")):
        with pytest.raises(BadInput, match=told):
            await with_registry(DockerAccess(), f"{name}-{wrong}")
    with pytest.raises(NotFound, match="missing"):
        await with_registry(DockerAccess(), "missing")
