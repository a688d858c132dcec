"""Batches: all runs or none, in the order of their list, whatever cuts the submit off."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from commands import typed
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import FlowRun
from walking import Road

from launch_jobs.audit import audit
from launch_jobs.batch import HELD, complete_batches, spread, submit_batch
from launch_jobs.client import connect
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JobVersion, JsonObject, Option
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run
from launch_jobs.settings import load_settings
from launch_jobs.submission import Submission
from launch_jobs.why import Cause, explain

pytestmark = pytest.mark.anyio

INPUTS = Inputs(
    parameters_schema={
        "type": "object",
        "properties": {"lr": {"type": "number", "default": 0.1, "maximum": 1, "position": 0}},
        "additionalProperties": False,
    },
    options=(Option(name="lr", flag="--lr"),),
)
SETS: list[JsonObject] = [{"lr": lr} for lr in (0.5, 0.1, 0.4, 0.2, 0.3)]


def _batch(job: JobVersion, queue: str, sets: list[JsonObject] = SETS) -> list[Submission]:
    return spread(Submission(job=job.reference, queue=queue, name="sweep"), sets)


async def _runs(queue: str) -> list[FlowRun]:
    """All runs of a queue in the order of their names."""
    async with connect() as client:
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[queue]))
        return sorted(await client.read_flow_runs(work_pool_filter=pool), key=lambda run: run.name)


def _states(runs: list[FlowRun]) -> list[str]:
    return ["held" if run.state_name == HELD else str(run.state_type) for run in runs]


async def test_a_batch_runs_in_the_order_of_its_list(road: Road, tmp_path: Path) -> None:
    """One slot, five sets of parameters."""
    queue, order = await road.queue("process"), tmp_path / "order"
    job = road.job(f'echo "$1" >> {order}', inputs=INPUTS)
    runs = await submit_batch(_batch(job, queue), road.store)
    assert [run.name for run in runs] == [f"sweep-{place}" for place in range(1, 6)]
    places = [run.next_scheduled_start_time for run in await _runs(queue)]
    assert places == sorted(moment for moment in places if moment)
    road.agent("-q", queue, "--max-jobs", "1")
    assert {(await road.end(str(run.id))).state for run in runs} == {RunState.COMPLETED}
    assert order.read_text().split() == ["--lr=0.5", "--lr=0.4", "--lr=0.2", "--lr=0.3"]  # 0.1 is left to the program


async def test_one_wrong_set_leaves_no_run(road: Road) -> None:
    """It is named by its place; so is a batch without any."""
    queue, job = await road.queue("process"), road.job("true", inputs=INPUTS)
    with pytest.raises(BadInput, match=r"Run 3 of 3: parameter 'lr'"):
        await submit_batch(_batch(job, queue, [*SETS[:2], {"lr": 2}]), road.store)
    with pytest.raises(BadInput, match="empty"):
        await submit_batch([], road.store)
    assert await _runs(queue) == []


async def _typed_batch(road: Road, job: JobVersion, queue: str, key: str, **more: str) -> tuple[int, list[str]]:
    """Type the command; its exit code, and the ids of the runs that it told."""
    file = road.home / "sets.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in SETS))
    said = await typed(
        *(road, "submit", job.reference, "-q", queue, "--name", "sweep"),
        *("--batch", str(file), "--key", key, "--json"),
        **more,
    )
    return said.code, [run["id"] for run in json.loads(said.out)] if said.out else []


async def test_a_submit_killed_while_it_makes_runs_leaves_none_that_would_run(road: Road) -> None:
    """They are held, said so by `launch why` and `launch check`, can be cancelled, and the same key completes them."""
    queue, job, key = await road.queue("process"), road.job("true", inputs=INPUTS), uuid.uuid4().hex
    code, _ = await _typed_batch(road, job, queue, key, LAUNCH_JOBS_CRASH_AT="batch.made:3")
    held = await _runs(queue)
    assert (code, set(_states(held))) == (-9, {"held"})
    assert (await explain(str(held[1].id), road.store)).cause is Cause.HELD
    later = datetime.now(UTC) + timedelta(minutes=5)
    found = await audit(load_settings(), lambda: road.store, print, now=later)
    assert {str(run.id) for run in held} == {fault.key.split("(")[1][:-1] for fault in found.faults if key in fault.do}
    async with connect() as client:
        assert await complete_batches(client, held, now=later) == 0  # nobody knows that it was submitted whole
    assert await cancel_run(str(held[-1].id)) is RunState.CANCELLED
    code, ids = await _typed_batch(road, job, queue, key)
    runs = await _runs(queue)
    assert (code, ids) == (0, [str(run.id) for run in runs])
    assert sorted(_states(runs)) == ["StateType.CANCELLED", *["StateType.SCHEDULED"] * 4]


async def test_a_submit_killed_while_it_lets_runs_go_is_completed(road: Road) -> None:
    """By an agent of the queue, or by the same key; nothing is made twice, and nothing runs twice."""
    queue, job, key = await road.queue("process"), road.job("true", inputs=INPUTS), uuid.uuid4().hex
    code, _ = await _typed_batch(road, job, queue, key, LAUNCH_JOBS_CRASH_AT="batch.release:3")
    left = await _runs(queue)
    assert (code, _states(left)) == (-9, ["StateType.SCHEDULED"] * 2 + ["held"] * 3)
    async with connect() as client:
        assert await complete_batches(client, left) == 0  # who submits it may be at it
        assert await complete_batches(client, left[:4], now=datetime.now(UTC) + timedelta(minutes=2)) == 2
    assert _states(await _runs(queue)) == ["StateType.SCHEDULED"] * 4 + ["held"]
    assert await _typed_batch(road, job, queue, key) == (0, [str(run.id) for run in left])
    whole = await _runs(queue)
    assert _states(whole) == ["StateType.SCHEDULED"] * 5
    places = [run.next_scheduled_start_time for run in whole]
    assert places == sorted(moment for moment in places if moment)


async def test_a_key_is_one_batchs(road: Road) -> None:
    """Another list by the same key is refused, and leaves nothing; the same list by another key is another batch."""
    queue, job, key = await road.queue("process"), road.job("true", inputs=INPUTS), uuid.uuid4().hex
    first = await submit_batch(_batch(job, queue), road.store, key=key)
    with pytest.raises(BadInput, match="was used for something else"):
        await submit_batch(_batch(job, queue, [*SETS, {"lr": 0.9}]), road.store, key=key)
    again = await submit_batch(_batch(job, queue), road.store, key=key)
    other = await submit_batch(_batch(job, queue, SETS[:1]), road.store)
    assert [run.id for run in again] == [run.id for run in first]
    assert {UUID(str(run.id)) for run in await _runs(queue)} == {run.id for run in (*first, *other)}
