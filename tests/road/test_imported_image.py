"""A W&B job of a ready image (row 4 of LAUNCH_FEATURES C2) runs on a docker queue."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
from walking import Road

from launch_jobs.engine import opened
from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.names import JobRef
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio


@pytest.fixture
def image(docker_base: str) -> Generator[str]:
    """An image with a command of its own, which says what W&B's variables tell it."""
    tag = f"launch-jobs-test-{uuid.uuid4().hex}:tagged"
    text = f'FROM {docker_base}\nENTRYPOINT ["sh", "-c", "echo RESULT $WANDB_LAUNCH $WANDB_CONFIG"]\n'
    with opened() as engine:
        list(engine.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True, decode=True))
        yield tag
        engine.remove_image(tag)


async def test_an_image_job_keeps_its_tag_and_takes_values(road: Road, image: str, tmp_path: Path) -> None:
    """The image's own command runs, the tag is an alias, and an int stays one."""
    types = {"wb_type": "typedDict", "params": {"type_map": {"seed": {"wb_type": "number"}}}}
    told = {"source_type": "image", "source": {"image": image}, "input_types": types}
    (tmp_path / "wandb-job.json").write_text(json.dumps(told))
    version = import_folder(tmp_path, Asked(road.store), name=f"image-{road.mark}").version
    assert road.store.resolve(JobRef.parse(f"{version.name}:tagged")) == version

    queue = await road.queue("docker")
    road.agent("-q", queue)
    run = await road.submit(version, queue, parameters={"seed": 11})
    ended = await road.end(run)
    log = b"".join([chunk async for chunk in read_log(run, road.store)]).decode()
    assert ended.state is RunState.COMPLETED, (ended.reason, log, road.agents_said())
    assert "RESULT true" in log
    assert json.loads(log.partition("RESULT true ")[2]) == {"seed": 11}
