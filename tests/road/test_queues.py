"""Queues: creating, submitting, priorities, limits."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.states import Scheduled
from walking import Road

from launch_jobs.client import connect
from launch_jobs.errors import BadInput, NotFound, Refused
from launch_jobs.job import Inputs, JsonObject, Option
from launch_jobs.queue import create_queue, list_queues, pause_queue, show_queue
from launch_jobs.run import RunState
from launch_jobs.runs import find_run, list_runs
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

INPUTS = Inputs(
    parameters_schema={
        "type": "object",
        "properties": {"lr": {"type": "number", "default": 0.1, "maximum": 1, "position": 0}},
        "additionalProperties": False,
    },
    options=(Option(name="lr", flag="--lr"),),
)


async def test_a_queue_is_listed_shown_paused_and_resumed(road: Road) -> None:
    """What was created can be seen, with its type and priorities."""
    name = await road.queue("process")
    assert name in [queue.name for queue in await list_queues()]
    queue = await show_queue(name)
    assert (queue.type, queue.paused, queue.priorities) == ("process", False, ("critical", "high", "medium", "low"))
    assert (await pause_queue(name)).paused
    assert not (await pause_queue(name, paused=False)).paused


async def test_a_paused_queue_takes_submits_and_starts_nothing(road: Road) -> None:
    """A run of a paused queue waits until the queue is resumed."""
    paused, other = await road.queue("process"), await road.queue("process")
    await pause_queue(paused)
    road.agent("-q", paused, "-q", other)
    job = road.job("true")
    waiting = await road.submit(job, paused)
    await road.end(await road.submit(job, other))
    assert (await road.until(waiting, lambda _: True)).state is RunState.SCHEDULED
    await pause_queue(paused, paused=False)
    assert (await road.end(waiting)).state is RunState.COMPLETED


async def test_runs_start_in_the_order_of_priority_then_submit(road: Road, tmp_path: Path) -> None:
    """With one slot, critical goes first, then first come, first served."""
    queue = await road.queue("process")
    order = tmp_path / "order"
    job = road.job(f'echo "$WHO" >> {order}')
    runs: list[str] = []
    for who, priority in (("a", None), ("b", None), ("low", "low"), ("c", None), ("critical", "critical")):
        submission = Submission.model_validate(
            {"job": job.reference, "queue": queue, "priority": priority, "overrides": {"env": {"WHO": who}}}
        )
        runs.append(str((await submit(submission, road.store)).id))
    road.agent("-q", queue, "--max-jobs", "1")
    for run in runs:
        await road.end(run)
    assert order.read_text().split() == ["critical", "a", "b", "c", "low"]


@pytest.mark.parametrize("count", [4])
async def test_max_jobs_holds_over_all_queues_of_an_agent(road: Road, tmp_path: Path, count: int) -> None:
    """One agent with two queues and one slot never runs two programs at once, and starves neither queue."""
    queues = [await road.queue("process"), await road.queue("process")]
    inside = tmp_path / "inside"
    script = f"mkdir {inside} || exit 9; sleep 0.5; rmdir {inside}"
    job = road.job(script)
    runs = [await road.submit(job, queues[number % 2]) for number in range(count)]
    road.agent("-q", queues[0], "-q", queues[1], "--max-jobs", "1")
    assert [(await road.end(run)).exit_code for run in runs] == [0] * count


async def test_the_same_key_is_the_same_run(road: Road) -> None:
    """A submit that is repeated after a lost answer enqueues once."""
    submission = Submission(job=road.job("true").reference, queue=await road.queue("process"), key=uuid.uuid4().hex)
    first, again = await submit(submission, road.store), await submit(submission, road.store)
    assert first.id == again.id


async def test_a_run_carries_its_digest_full_parameters_tags_and_a_readable_name(road: Road) -> None:
    """What is queued never changes: content by digest, every parameter by value."""
    job = road.job("true", name="fit", inputs=INPUTS)
    run = await road.submit(job, await road.queue("process"))
    async with connect() as client:
        found = await find_run(client, run)
    assert found.parameters["job"] == job.reference
    assert found.name.startswith("fit-v0-")
    assert {"job:fit", "version:v0"} <= set(found.tags)


async def test_parameters_reach_the_program_as_its_own_arguments(road: Road) -> None:
    """The option is written as the program reads it."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job('[ "$*" = "--lr=0.25" ] || exit 7', inputs=INPUTS), queue, parameters={"lr": 0.25})
    assert (await road.end(run)).exit_code == 0


async def test_a_moved_alias_does_not_change_a_queued_run(road: Road) -> None:
    """A run keeps the version that its submit resolved."""
    queue = await road.queue("process")
    road.job("exit 3", name="moving")
    run = str((await submit(Submission(job="moving:latest", queue=queue), road.store)).id)
    road.job("exit 4", name="moving")
    road.agent("-q", queue)
    assert (await road.end(run)).exit_code == 3


BAD: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"job": "nothing"}, NotFound, "nothing"),
    ({"queue": "nowhere"}, NotFound, "nowhere"),
    ({"overrides": {"parameters": {"lrr": 1}}}, BadInput, "lr"),
    ({"overrides": {"parameters": {"lr": "fast"}}}, BadInput, "lr"),
    ({"overrides": {"parameters": {"lr": 2}}}, BadInput, "lr"),
    ({"parameter_texts": {"lr": "wrong"}}, BadInput, "lr"),
    ({"variables": {"timeot": 3}}, BadInput, "timeout"),
    ({"variables": {"timeout": -3}}, BadInput, "timeout"),
    ({"variables": {"privileged": True}}, BadInput, "privileged"),
    ({"variables": {"env": {"A": "{{ prefect.blocks.secret.token }}"}}}, Refused, "env"),
    ({"variables": {"env": {"__prefect_kind": "jinja", "template": "x"}}}, Refused, "env"),
    ({"priority": "urgent"}, BadInput, "critical"),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD)
async def test_bad_input_is_refused_and_nothing_is_enqueued(
    road: Road, change: dict[str, object], error: type[Exception], words: str
) -> None:
    """Each bad submit raises one line that names what is wrong, and leaves no run."""
    job, queue = road.job("true", inputs=INPUTS), await road.queue("process")
    submission = Submission.model_validate({"job": job.reference, "queue": queue} | change)
    with pytest.raises(error, match=words):
        await submit(submission, road.store)
    async with connect() as client:
        assert await client.read_flow_runs(work_pool_filter=_pool(queue)) == []


def _pool(name: str) -> WorkPoolFilter:
    return WorkPoolFilter(name=WorkPoolFilterName(any_=[name]))


@pytest.mark.parametrize(
    ("name", "queue_type", "template"),
    [("Not A Name", "process", None), ("fine", "gpu", None), ("fine", "process", {"variables": {}})],
)
async def test_a_bad_queue_is_refused(road: Road, name: str, queue_type: str, template: JsonObject | None) -> None:
    """Name, type and template are checked before anything is created."""
    del road
    with pytest.raises(BadInput):
        await create_queue(name, queue_type, template=template)
    assert "fine" not in [queue.name for queue in await list_queues()]


async def test_a_draining_agent_empties_its_queues_and_ends(road: Road) -> None:
    """`launch agent --drain` works everything off, one at a time if told so, and exits 0."""
    queue = await road.queue("process")
    job = road.job("true")
    runs = [await road.submit(job, queue) for _ in range(3)]
    agent = road.agent("-q", queue, "--max-jobs", "1", "--drain")
    for run in runs:
        assert (await road.end(run)).state is RunState.COMPLETED
    await road.until_true(lambda: agent.process.poll() is not None)
    assert agent.process.returncode == 0


async def test_a_job_gets_its_own_deployment_that_follows_its_newest_version(road: Road) -> None:
    """The first submit registers the job with its form; a newer version moves it; another queue leaves it."""
    first, other = await road.queue("process"), await road.queue("process")
    name = f"own-{uuid.uuid4().hex[:8]}"
    old = road.job("true", name=name, inputs=INPUTS)
    await road.submit(old, first)
    new = road.job("true # new", name=name, inputs=INPUTS)
    await road.submit(new, other)
    async with connect() as client:
        registered = await client.read_deployment_by_name(f"launch-job/job.{name}")
        assert (registered.version, registered.work_pool_name) == (f"{name}:v0", first)
        await road.submit(new, first)
        moved = await client.read_deployment_by_name(f"launch-job/job.{name}")
        runs = await client.read_flow_runs(work_pool_filter=_pool(first))
    assert (moved.version, moved.parameters["job"]) == (f"{name}:v1", new.reference)
    assert {run.deployment_id for run in runs} == {registered.id}
    form = (moved.parameter_openapi_schema or {})["properties"]["parameters"]
    assert form["properties"] == {"lr": {"type": "number", "default": 0.1, "maximum": 1, "position": 0}}


async def test_runs_of_schedules_do_not_fill_the_list(road: Road) -> None:
    """What is planned for tomorrow is told to who asks for scheduled runs."""
    queue = await road.queue("process")
    name = f"plan-{uuid.uuid4().hex[:8]}"
    now = await road.submit(road.job("true", name=name), queue)
    async with connect() as client:
        own = await client.read_deployment_by_name(f"launch-job/job.{name}")
        at = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))
        later = str((await client.create_flow_run_from_deployment(own.id, state=at)).id)
    listed = {run.id for run in await list_runs(road.store, limit=200)}
    planned = {run.id for run in await list_runs(road.store, states=[RunState.SCHEDULED], limit=200)}
    assert ({now, later} & listed, {now, later} & planned) == ({now}, {now, later})


async def test_what_one_submit_overrides_does_not_become_the_forms_default(road: Road) -> None:
    """The form that the first submit makes begins with the captured values."""
    queue = await road.queue("process")
    name = f"form-{uuid.uuid4().hex[:8]}"
    job = road.job("echo", name=name, inputs=INPUTS)
    await road.submit(job, queue, parameters={"lr": 0.75})
    async with connect() as client:
        registered = await client.read_deployment_by_name(f"launch-job/job.{name}")
    assert registered.parameters["parameters"] == {"lr": 0.1}


async def test_a_run_from_the_jobs_own_deployment_keeps_captured_and_default_values(road: Road) -> None:
    """What the Prefect UI sends, a part of the form, is completed in the agent."""
    queue = await road.queue("process")
    name = f"own-{uuid.uuid4().hex[:8]}"
    job = road.job('echo "$*"', name=name, inputs=INPUTS)
    road.agent("-q", queue)
    first = await road.submit(job, queue)
    async with connect() as client:
        registered = await client.read_deployment_by_name(f"launch-job/job.{name}")
        run = await client.create_flow_run_from_deployment(registered.id, parameters={"parameters": {"lr": 0.75}})
    info = await road.end(str(run.id))
    assert (info.state, info.parameters, info.job_label) == (RunState.COMPLETED, {"lr": 0.75}, f"{name}:v0")
    assert (await road.end(first)).state is RunState.COMPLETED
