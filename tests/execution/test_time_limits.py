"""Time limits before a program starts: of building, and of what must be there."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from launch_jobs.conclusion import lost_outcome
from launch_jobs.context import LaunchContext
from launch_jobs.engine import Engine, connect
from launch_jobs.errors import LaunchError
from launch_jobs.execution import RunEnded, execute, never_started
from launch_jobs.job import Entrypoint, Environment, ImageSource, Job, JobVersion, JsonObject, Origin, Overrides
from launch_jobs.live_log import Sink
from launch_jobs.names import attempt_name
from launch_jobs.preparation import NotBuiltInTime, NotStartedInTime, Prepared, RunCancelled, prepare, resolve
from launch_jobs.run import OutputFile, Outputs, Reason, Retry, RunState
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.content import digest_file
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets.docker import DockerTarget
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.template import base_job_template
from launch_jobs.testing import MemoryObjects, MemoryProcess, MemoryTarget

pytestmark = pytest.mark.anyio


async def _never(process: MemoryProcess) -> int:
    raise AssertionError(process)


def _context(home: Path, kind: str, variables: JsonObject) -> LaunchContext:
    return LaunchContext(
        run="0123",
        kind="docker" if kind == "docker" else "process",
        queue="q",
        template=base_job_template(CONFIGURATIONS[kind]),
        settings=LaunchSettings(home=home),
        store=JobStore(MemoryObjects()),
        target=MemoryTarget(_never),
        variables=(variables,),
    )


def _image_job(store: JobStore, reference: str) -> JobVersion:
    job = Job(source=ImageSource(reference=reference), entrypoint=Entrypoint(argv=("true",)), environment=Environment())
    return store.add("ready", job, Origin())


async def test_a_pull_that_never_ends_is_no_start_in_time(tmp_path: Path, docker_base: str) -> None:
    """A registry that takes calls and never answers: lost infrastructure, counted and tried again first in line."""
    del docker_base
    context = _context(tmp_path, "docker", {"start_deadline": 1, "infrastructure_retries": 1})
    with socket.create_server(("127.0.0.1", 0)) as server:
        image = f"127.0.0.1:{server.getsockname()[1]}/silent@sha256:{'0' * 64}"
        resolved = await resolve(context, _image_job(context.store, image).reference, Overrides())
        with pytest.raises(NotStartedInTime, match="start deadline of 1 s") as late:
            await prepare(context, resolved, lambda _: None)
    with pytest.raises(RunEnded) as ended:
        await never_started(context, resolved, late.value)
    assert (ended.value.outcome.reason, ended.value.outcome.state) == (Reason.START_DEADLINE, RunState.CRASHED)
    assert ended.value.retry == Retry(number=1, limit=1, at_head=True)
    assert context.store.outcome("0123", 1) == ended.value.outcome


class AwayEngine:
    """A real engine that answers no call which makes a container."""

    def __init__(self) -> None:
        self._engine = connect()

    def __getattr__(self, name: str) -> Any:
        if name == "create_container_from_config":
            raise requests.ConnectionError("away")
        return getattr(self._engine, name)


async def test_a_container_that_is_not_made_in_time_is_no_start_in_time(tmp_path: Path, docker_base: str) -> None:
    """The engine said nothing for too long; nothing of the attempt is left, and what the pull took counts."""
    target = DockerTarget(lambda: cast("Engine", AwayEngine()))
    context = replace(_context(tmp_path, "docker", {"start_deadline": 60}), target=target)
    resolved = await resolve(context, _image_job(context.store, docker_base).reference, Overrides())
    prepared = Prepared(image=docker_base, waited_s=59.5)
    with pytest.raises(NotStartedInTime, match=r"its container or process was not there within .* 60 s"):
        await execute(context, resolved, prepared, cast("Sink", None))
    assert await target.status(await target.place(attempt_name("0123", 1))) is None
    target.close()


class SilentObjects(MemoryObjects):
    """A store that gives no file out before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def download(self, key: str, path: Path) -> None:
        """Wait, then write it."""
        self.gate.wait(60)
        super().download(key, path)


async def test_data_that_does_not_come_in_time_is_no_start_in_time(tmp_path: Path) -> None:
    """With a reason of its own; the program never ran."""
    objects, file = SilentObjects(), tmp_path / "weights"
    file.write_bytes(b"1")
    context = replace(_context(tmp_path, "docker", {"start_deadline": 0.5}), store=JobStore(objects))
    output = OutputFile(path="weights", size=1, digest=digest_file(file))
    context.store.put_output("earlier", 1, output, file)
    left = lost_outcome("earlier", 1, "docker://e/n").model_copy(update={"outputs": Outputs(files=(output,))})
    context.store.put_outcome(left)
    overrides = Overrides(datasets={"weights": "outputs://earlier/1"})
    resolved = await resolve(context, _image_job(context.store, "i@sha256:" + "0" * 64).reference, overrides)
    with pytest.raises(NotStartedInTime, match=r"its data was not there within the start deadline of 0\.5 s"):
        await execute(context, resolved, Prepared(image="i"), cast("Sink", None))
    objects.gate.set()


async def test_a_cancel_ends_a_pull_at_once(tmp_path: Path, docker_base: str) -> None:
    """It waits for no registry."""
    del docker_base
    context = _context(tmp_path, "docker", {})
    with socket.create_server(("127.0.0.1", 0)) as server:
        image = f"127.0.0.1:{server.getsockname()[1]}/silent@sha256:{'0' * 64}"
        resolved = await resolve(context, _image_job(context.store, image).reference, Overrides())
        async with asyncio.timeout(5):
            pulling = asyncio.ensure_future(prepare(context, resolved, lambda _: None))
            caller, _ = await asyncio.to_thread(server.accept)
            context.cancelled.set()
            with caller, pytest.raises(RunCancelled):
                await pulling


async def test_a_cancel_ends_a_build(tmp_path: Path) -> None:
    """Nothing is left of what was being made."""
    context = _context(tmp_path, "process", {})
    code = tmp_path / "code"
    code.mkdir()
    (code / "run.py").write_text("")
    resolved = await resolve(context, _code_job(context.store, code).reference, Overrides())
    context.cancelled.set()
    with pytest.raises(RunCancelled):
        await prepare(context, resolved, lambda _: None)
    assert list((tmp_path / "sources").glob("*")) == []


async def test_a_build_has_a_time_limit(tmp_path: Path) -> None:
    """What is over it is ended, and fails with what to do; it is never taken for the program's failure."""
    context = _context(tmp_path, "process", {"build_timeout": 0.001})
    code = tmp_path / "code"
    code.mkdir()
    (code / "run.py").write_text("")
    version = _code_job(context.store, code)
    with pytest.raises(NotBuiltInTime, match=r"environment was not built within its time limit of 0\.001 s") as late:
        await prepare(context, await resolve(context, version.reference, Overrides()), lambda _: None)
    assert isinstance(late.value, LaunchError)
    assert "build_timeout" in str(late.value)


def _code_job(store: JobStore, folder: Path) -> JobVersion:
    from launch_jobs.capture.source import snapshot_source

    with snapshot_source(folder, store) as snapshot:
        job = Job(
            source=snapshot.source,
            entrypoint=Entrypoint(argv=("python", "run.py")),
            environment=Environment(python="3.11"),
        )
        return store.add("code", job, snapshot.origin)
