"""Time limits before a program starts: of building, and of what must be there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from launch_jobs.context import LaunchContext
from launch_jobs.errors import LaunchError
from launch_jobs.execution import RunEnded, never_started
from launch_jobs.job import Entrypoint, Environment, ImageSource, Job, JobVersion, JsonObject, Origin, Overrides
from launch_jobs.preparation import NotBuiltInTime, NotStartedInTime, RunCancelled, prepare, resolve
from launch_jobs.run import Reason, Retry, RunState
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets.configuration import CONFIGURATIONS
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
