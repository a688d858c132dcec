"""`launch check` against a real server, store, engine and processes."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from commands import Document, typed
from prefect.states import Completed, Running
from walking import Road

from launch_jobs.audit import Audit, audit
from launch_jobs.client import connect
from launch_jobs.names import attempt_name
from launch_jobs.run import RunState
from launch_jobs.settings import LaunchSettings

pytestmark = pytest.mark.anyio


async def _audit(road: Road, **later: float) -> Audit:
    settings = LaunchSettings(home=road.home)
    return await audit(settings, lambda: road.store, lambda _: None, datetime.now(UTC) + timedelta(**later))


def _about(found: Audit, part: str, key: str) -> list[str]:
    """What is said of one thing; the server and the engine are shared with other tests."""
    return [fault.what for fault in found.faults if fault.part == part and key in fault.key]


async def _ran(road: Road, script: str = "echo out > $LAUNCH_OUTPUT_DIR/out.txt") -> str:
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job(script), queue)
    await road.end(run)
    agent.stop()
    return run


async def test_a_flipped_byte_is_named(road: Road) -> None:
    """After one run all is whole; then the very object is told, with exit code 1, in JSON too."""
    run = await _ran(road)
    assert _about(await _audit(road), "runs", run) == []
    assert not [fault for fault in (await _audit(road)).faults if fault.part in {"store", "processes"}]
    (content,) = [path for path in (road.home / "store" / "blobs").rglob("*") if path.is_file()][:1]
    content.write_bytes(bytes([content.read_bytes()[0] ^ 1]) + content.read_bytes()[1:])
    said = await typed(road, "check", "--json")
    assert said.code == 1
    faults = cast("list[Document]", said.document["faults"])
    assert [fault["key"] for fault in faults if fault["part"] == "store"] == [
        str(content.relative_to(road.home / "store"))
    ]
    assert content.name in (await typed(road, "check")).out


async def test_a_run_without_its_outcome_is_lost(road: Road) -> None:
    """The server says that it completed, and the store knows nothing of it."""
    run = await _ran(road)
    road.store.delete_run(run)
    (what,) = _about(await _audit(road), "runs", run)
    assert "no outcome of attempt 1" in what


async def test_a_run_that_nobody_works_on_is_named_after_a_while(road: Road, tmp_path: Path) -> None:
    """Its agent is killed: not at once, since the next one adopts it, but after two minutes; and not with an agent."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job('until [ -e "$1" ]; do sleep 0.1; done'), queue, args=(str(tmp_path / "gate"),))
    await road.until(run, lambda info: info.state is RunState.RUNNING and info.place)
    assert _about(await _audit(road, minutes=3), "runs", run) == []
    agent.process.kill()
    agent.process.wait()
    assert _about(await _audit(road), "runs", run) == []
    (what,) = _about(await _audit(road, minutes=3), "runs", run)
    assert "the agent of this home is gone" in what
    open_gate(tmp_path)
    road.agent("-q", queue)
    assert (await road.end(run)).state is RunState.COMPLETED


def open_gate(folder: Path) -> None:
    """Let the program end."""
    (folder / "gate").touch()


async def test_a_process_of_a_run_that_is_over_is_an_orphan(road: Road, tmp_path: Path) -> None:
    """Its run is forced into an end while the program runs without an agent."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job('until [ -e "$1" ]; do sleep 0.1; done'), queue, args=(str(tmp_path / "gate"),))
    await road.until(run, lambda info: info.state is RunState.RUNNING and info.place)
    folder = road.home / "runs" / attempt_name(run, 1)
    await road.until_true((folder / "started").exists)
    agent.process.kill()
    agent.process.wait()
    assert _about(await _audit(road), "processes", folder.name) == []
    await _force(run, Completed())
    (what,) = _about(await _audit(road), "processes", folder.name)
    assert "its program runs" in what and "is over" in what
    await _force(run, Running())
    open_gate(tmp_path)
    road.agent("-q", queue)
    await road.end(run)


async def _force(run: str, state: object) -> None:
    async with connect() as client:
        await client.set_flow_run_state(UUID(run), state, force=True)  # pyright: ignore[reportArgumentType] - any of them


async def test_a_part_that_does_not_answer_is_said_and_the_others_are_checked(road: Road, tmp_path: Path) -> None:
    """No engine at the address that is named: exit code 4, and the store is looked at all the same."""
    open_gate(tmp_path)  # a file, where nobody listens
    said = await typed(road, "check", "--json", DOCKER_HOST=f"unix://{tmp_path / 'gate'}")
    faults = cast("list[Document]", said.document["faults"])
    assert said.code == (1 if faults else 4)
    assert [part["part"] for part in cast("list[Document]", said.document["unchecked"])] == ["containers"]
    assert said.document["checked"] == ["store", "runs", "processes"]
    assert said.document["whole"] is False


@pytest.fixture
def container(docker_base: str) -> Generator[tuple[str, str]]:
    """A run id that no server knows, and the name of its container."""
    run = str(uuid.uuid4())
    name = attempt_name(run, 1)
    labels = ["--label", f"org.launch-jobs.run={run}", "--label", "org.launch-jobs.attempt=1"]
    _docker("create", "--name", name, *labels, docker_base, "true")
    yield run, name
    _docker("rm", "-f", name)


def _docker(*arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    subprocess.run(["docker", *arguments], check=True, capture_output=True, env=environment)


async def test_a_container_of_an_unknown_run_is_an_orphan(road: Road, container: tuple[str, str]) -> None:
    """Named as Docker names it, whatever state it is in."""
    run, name = container
    (what,) = _about(await _audit(road), "containers", name)
    assert run in what
