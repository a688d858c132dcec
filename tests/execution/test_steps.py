"""The steps of a run over memory parts: resolve, execute, cancel, adopt."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from launch_jobs.context import Labels, LaunchContext
from launch_jobs.errors import BadInput, Refused
from launch_jobs.execution import execute
from launch_jobs.job import (
    CaptureRecord,
    CodeSource,
    Entrypoint,
    Host,
    Inputs,
    Job,
    JobVersion,
    Option,
    Origin,
    Overrides,
)
from launch_jobs.names import attempt_name, sha256
from launch_jobs.preparation import Prepared, resolve
from launch_jobs.run import Outcome, Reason, RunState
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets.configuration import DockerConfiguration
from launch_jobs.targets.template import base_job_template
from launch_jobs.testing import MemoryObjects, MemoryOutput, MemoryProcess, MemoryTarget, Program

pytestmark = pytest.mark.anyio

INPUTS = Inputs(
    parameters_schema={
        "type": "object",
        "properties": {"lr": {"type": "number", "default": 0.1}, "seed": {"type": "integer", "default": 0}},
        "additionalProperties": False,
    },
    options=(Option(name="lr", flag="--lr"), Option(name="seed", flag="--seed")),
)
PREPARED = Prepared(image="image", workdir="/workspace", root="/workspace")


def _version(store: JobStore) -> JobVersion:
    source = CodeSource(tree=sha256(b""))
    job = Job(source=source, entrypoint=Entrypoint(argv=("python", "train.py")), inputs=INPUTS)
    version = store.add("train", job, Origin())
    record = CaptureRecord(
        run="captured",
        parameters={"lr": 0.5, "gone": 1},
        argv=("python", "train.py"),
        exit_code=0,
        started="2026-01-01T00:00:00+00:00",
        duration_s=1,
        host=Host(name="h", system="Linux", cpus=1),
    )
    store.add_record(version, record)
    return version


async def _quick(process: MemoryProcess) -> int:
    process.write(b"hello\n")
    process.files["metrics.json"] = b'{"loss": 2}'
    return 0


def _context(home: Path, program: Program = _quick) -> LaunchContext:
    return LaunchContext(
        run="0123",
        kind="docker",
        queue="q",
        template=base_job_template(DockerConfiguration),
        settings=LaunchSettings(home=home),
        store=JobStore(MemoryObjects()),
        target=MemoryTarget(program),
    )


async def _run(context: LaunchContext, **overrides: object) -> tuple[Outcome, list[str]]:
    version = _version(context.store)
    output = MemoryOutput()
    resolved = await resolve(context, version.reference, Overrides.of(**overrides))
    return await execute(context, resolved, PREPARED, output), output.texts


async def test_what_is_not_given_keeps_its_captured_value(tmp_path: Path) -> None:
    """Captured values are completed by defaults and changed by what is given; a parameter that is gone is dropped."""
    context = _context(tmp_path)
    version = _version(context.store)
    resolved = await resolve(context, version.reference, Overrides(parameters={"seed": 3}))
    assert resolved.overrides.parameters == {"lr": 0.5, "seed": 3}


async def test_a_parameter_is_checked_again_in_the_agent(tmp_path: Path) -> None:
    """A run that was submitted past our own check (the UI, another client) is refused here."""
    context = _context(tmp_path)
    with pytest.raises(BadInput, match="lr"):
        await resolve(context, _version(context.store).reference, Overrides(parameters={"lr": "x"}))


async def test_a_variable_is_checked_again_in_the_agent(tmp_path: Path) -> None:
    """What the template does not declare never reaches a container."""
    context = dataclasses.replace(_context(tmp_path), variables=({"volumes": ["/:/host"]},))
    with pytest.raises(BadInput, match="volumes"):
        await resolve(context, _version(context.store).reference, Overrides())


async def test_a_reserved_name_in_the_environment_is_refused(tmp_path: Path) -> None:
    """A submitter cannot pose as the agent."""
    with pytest.raises(Refused, match="LAUNCH_RUN_ID"):
        await _run(_context(tmp_path), env={"LAUNCH_RUN_ID": "other"})


async def test_output_metrics_and_log_come_home_and_nothing_is_left(tmp_path: Path) -> None:
    """The outcome holds what the program left; target and spool are empty afterwards."""
    context = _context(tmp_path)
    outcome, lines = await _run(context)
    assert (outcome.state, outcome.outputs.metrics, lines) == (RunState.COMPLETED, {"loss": 2}, ["hello"])
    assert context.store.get_log("0123", 1, tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"hello\n"
    assert await context.target.status(await context.target.place(attempt_name("0123", 1))) is None
    assert list((tmp_path / "logs" / "runs").iterdir()) == []


async def test_place_and_attempt_are_recorded_before_anything_is_created(tmp_path: Path) -> None:
    """Whoever finds the run later knows where to look."""
    context = _context(tmp_path)
    seen: list[tuple[Labels, object]] = []

    async def record(labels: Labels) -> None:
        seen.append((labels, await context.target.status(await context.target.place(attempt_name("0123", 1)))))

    await _run(dataclasses.replace(context, record=record))
    ((labels, there),) = seen
    assert (labels["launch.attempt"], there) == (1, None)
    assert labels["launch.place"] == f"process://memory/{attempt_name('0123', 1)}"
    assert labels["launch.job-label"] == "train:v0"


async def test_a_recorded_outcome_is_not_made_again(tmp_path: Path) -> None:
    """Running the same flow run again tells the end that is written, and starts nothing."""
    starts: list[str] = []

    async def count(process: MemoryProcess) -> int:
        starts.append(process.spec.name)
        return 5

    context = _context(tmp_path, count)
    first, _ = await _run(context)
    again, _ = await _run(context)
    assert (first, len(starts), first.exit_code) == (again, 1, 5)


async def test_cancel_stops_the_program_before_it_is_told(tmp_path: Path) -> None:
    """The outcome says cancelled, with the exit code that the stop gave."""

    async def wait(process: MemoryProcess) -> int:
        process.write(b"on\n")
        await process.stopping.wait()
        return 143

    context = _context(tmp_path, wait)
    asyncio.get_running_loop().call_later(0.05, context.cancelled.set)
    outcome, lines = await _run(context)
    assert (outcome.reason, outcome.exit_code, lines) == (Reason.CANCELLED, 143, ["on"])


async def test_a_time_limit_stops_the_program(tmp_path: Path) -> None:
    """Over the limit is Failed by time-out, not the program's own exit code."""

    async def wait(process: MemoryProcess) -> int:
        await process.stopping.wait()
        return 0

    outcome, _ = await _run(_context(tmp_path, wait), timeout_s=0.05)
    assert (outcome.reason, outcome.state) == (Reason.TIMEOUT, RunState.FAILED)


async def test_a_vanished_attempt_is_lost_infrastructure(tmp_path: Path) -> None:
    """An attempt that somebody removes is Crashed, never Failed."""
    started = asyncio.Event()

    async def forever(process: MemoryProcess) -> int:
        del process
        started.set()
        await asyncio.Event().wait()
        return 0

    context = _context(tmp_path, forever)

    async def remove() -> None:
        await started.wait()
        await context.target.remove(await context.target.place(attempt_name("0123", 1)))

    removing = asyncio.ensure_future(remove())
    outcome, _ = await _run(context)
    await removing
    assert (outcome.reason, outcome.state, outcome.exit_code) == (Reason.INFRASTRUCTURE, RunState.CRASHED, None)
