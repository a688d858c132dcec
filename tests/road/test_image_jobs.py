"""Jobs of ready images on a docker queue, end to end."""

from __future__ import annotations

import io
import uuid
from collections.abc import Generator

import pytest
from walking import Road

from launch_jobs.capture import capture_image
from launch_jobs.engine import opened
from launch_jobs.job import Entrypoint, ImageSource, Inputs, Job, JsonObject, Option, Origin
from launch_jobs.names import sha256
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

SCHEMA: JsonObject = {"type": "object", "properties": {"lr": {"type": "number"}}, "additionalProperties": False}


@pytest.fixture
def road(two_machines: Road) -> Road:
    """Captured and submitted on one machine, executed on another."""
    return two_machines


@pytest.fixture
def image(docker_base: str) -> Generator[str]:
    """An image that only this engine has, with a folder and a command of its own."""
    tag = f"launch-jobs-test-{uuid.uuid4().hex}:1"
    text = f'FROM {docker_base}\nWORKDIR /own\nENTRYPOINT ["sh", "-c", "pwd; echo $LAUNCH_PARAMETERS $0 $*"]\n'
    with opened() as engine:
        list(engine.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True, decode=True))
        yield tag
        engine.remove_image(tag)


async def _log(road: Road, run: str) -> list[str]:
    return b"".join([chunk async for chunk in read_log(run, road.store)]).decode().splitlines()


async def test_an_image_runs_its_own_command_in_its_own_folder(road: Road, image: str) -> None:
    """By the id that it had when the job was made; arguments come after."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    job = capture_image(image, [], store=road.store)
    assert isinstance(job.job.source, ImageSource)
    run = await road.submit(job, queue, args=("a", "b c"))
    info = await road.end(run)
    assert (info.state, info.image) == (RunState.COMPLETED, job.job.source.image_id), info.reason
    assert await _log(road, run) == ["/own", "{} a b c"]


async def test_parameters_reach_an_image_as_options_and_in_the_environment(road: Road, image: str) -> None:
    """Where its job has a schema."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    source = capture_image(image, [], store=road.store).job.source
    inputs = Inputs(parameters_schema=SCHEMA, options=(Option(name="lr", flag="--lr"),))
    entrypoint = Entrypoint(argv=("sh", "-c", "echo $LAUNCH_PARAMETERS $*", "sh"))
    job = road.store.add(f"image-{road.mark}", Job(source=source, entrypoint=entrypoint, inputs=inputs), Origin())
    run = await road.submit(job, queue, parameters={"lr": 0.5})
    assert (await road.end(run)).state is RunState.COMPLETED
    assert await _log(road, run) == ['{"lr":0.5} --lr=0.5']


async def test_an_image_id_of_another_engine_fails_in_one_line(road: Road) -> None:
    """With what to do."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    source = ImageSource(reference="elsewhere:1", image_id=sha256(road.mark.encode()))
    job = road.store.add(f"image-{road.mark}", Job(source=source, entrypoint=Entrypoint(argv=("x",))), Origin())
    info = await road.end(await road.submit(job, queue))
    assert info.state is RunState.FAILED
    assert "is not on this Docker Engine" in (info.reason or "")
    assert "launch job create image" in (info.reason or "")
