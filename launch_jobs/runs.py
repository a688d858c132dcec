"""Runs on the server: find, list, show, follow, cancel. Prefect's flow runs, told in our words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling

from launch_jobs.client import connect, schedule_again
from launch_jobs.deployments import FLOW_NAME
from launch_jobs.errors import BadInput, NotFound, Refused
from launch_jobs.job import JsonObject
from launch_jobs.output_tail import OutputTail
from launch_jobs.run import OutputFile, RunInfo, RunState

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.run import Outcome
    from launch_jobs.store.jobs import JobStore

ONLY_TOLD = ", to say why it waits"
"""How the message of a claim ends that is given back at once (`workers/telling_waits.py`)."""

CLAIM = re.compile(
    r"Claimed by agent (?P<agent>.+?)(?: \[(?P<identity>[^\]]*)\](?:, (?P<used>\d+) of (?P<limit>\d+) at once)?"
    rf"(?:{ONLY_TOLD})?)?"
)
"""The message of the Pending state with which an agent claims a run (`workers/worker.py`)."""

WAITING = "Waiting"
"""How an agent's own words begin in the state of a run that it gave back: `Waiting: …`, or `Waiting for …`."""

_PAGE = 200
_SOON = timedelta(hours=1)
"""Far more than clocks differ."""


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def describe(run: FlowRun, outcome: Outcome | None) -> RunInfo:
    """A flow run and its outcome, told in our words. Pure."""
    labels = cast("JsonObject", run.labels)
    state = RunState(run.state_type.value.lower()) if run.state_type else RunState.SCHEDULED
    given = cast("JsonObject", run.parameters)
    asked = cast("JsonObject", given.get("parameters") or {})
    seconds = run.total_run_time.total_seconds() if run.start_time else None
    return RunInfo(
        id=str(run.id),
        name=run.name,
        state=state,
        state_name=run.state_name or state.value,
        job=str(labels.get("launch.job") or given.get("job") or "") or None,
        job_label=_label(labels, "launch.job-label"),
        queue=run.work_pool_name,
        priority=run.work_queue_name,
        parameters=outcome.parameters if outcome else asked,
        exit_code=outcome.exit_code if outcome else None,
        reason=(outcome.message if outcome and state.is_final else None) or (run.state.message if run.state else None),
        attempt=int(str(labels["launch.attempt"])) if "launch.attempt" in labels else None,
        place=_label(labels, "launch.place"),
        image=outcome.image if outcome else None,
        submitted=_text(run.created),
        started=_text(run.start_time),
        ended=_text(run.end_time),
        duration_s=round(seconds, 3) if seconds is not None else None,
        failure=outcome.failure if outcome else None,
        hint=(outcome.hint or None) if outcome else None,
        signal=outcome.signal if outcome else None,
        peak_memory_bytes=outcome.peak_memory_bytes if outcome else None,
        stopped=outcome.stopped if outcome else None,
        metrics=outcome.outputs.metrics if outcome else {},
        outputs=outcome.outputs.files if outcome else (),
    )


def _label(labels: JsonObject, name: str) -> str | None:
    value = labels.get(name)
    return str(value) if value is not None else None


async def list_runs(store: JobStore, *, states: list[RunState] | None = None, limit: int = 50) -> list[RunInfo]:
    """The newest runs of all queues, newest first.

    Those that a schedule has planned for more than an hour ahead are told only to who asks for scheduled ones: there
    may be hundreds, and each is newer than all that happened.
    """
    chosen = FlowRunFilter()
    if states:
        types = [StateType(state.value.upper()) for state in states]
        chosen.state = FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
    if RunState.SCHEDULED not in (states or ()):
        chosen.expected_start_time = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) + _SOON)  # pyright: ignore[reportArgumentType] - Prefect's DateTime is a datetime at run time
    async with connect() as client:
        runs = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW_NAME])),
            flow_run_filter=chosen,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=min(limit, _PAGE),
        )
    return list(await asyncio.gather(*(_with_outcome(run, store) for run in runs)))


async def every_run(client: PrefectClient, *types: StateType) -> AsyncIterator[FlowRun]:
    """All runs of all queues, newest first, or those in these states; each once, though new ones come meanwhile."""
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))) if types else None
    seen: set[UUID] = set()
    offset = 0
    while True:
        page = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW_NAME])),
            flow_run_filter=FlowRunFilter(state=state),
            sort=FlowRunSort.ID_DESC,
            limit=_PAGE,
            offset=offset,
        )
        for run in page:
            if run.id not in seen:
                seen.add(run.id)
                yield run
        offset += len(page)
        if len(page) < _PAGE:
            return


async def _with_outcome(run: FlowRun, store: JobStore) -> RunInfo:
    final = run.state is not None and run.state.is_final()
    outcome = await asyncio.to_thread(store.outcome, str(run.id)) if final else None
    return describe(run, outcome)


async def find_run(client: PrefectClient, reference: str) -> FlowRun:
    """A run by its id or name.

    Raises:
        NotFound: there is none.
        BadInput: several runs have that name; the message lists their ids.
    """
    try:
        return await client.read_flow_run(UUID(reference))
    except ValueError:
        pass
    except ObjectNotFound as error:
        raise NotFound(f"There is no run {reference!r}", do="See `launch list`") from error
    named = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[reference])), limit=5
    )
    if not named:
        raise NotFound(f"There is no run {reference!r}", do="See `launch list`")
    if len(named) > 1:
        ids = ", ".join(str(run.id) for run in named)
        raise BadInput(f"Several runs are named {reference!r}: {ids}", do="Name one by its id")
    return named[0]


async def show_run(reference: str, store: JobStore) -> RunInfo:
    """One run, whole.

    Raises:
        NotFound: there is none.
    """
    async with connect() as client:
        return await _with_outcome(await find_run(client, reference), store)


async def show_runs(ids: Sequence[UUID], store: JobStore) -> list[RunInfo]:
    """These runs, in this order; without those that are not there."""
    found: dict[UUID, FlowRun] = {}
    async with connect() as client:
        for start in range(0, len(ids), _PAGE):
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=list(ids[start : start + _PAGE])))
            found |= {run.id: run for run in await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE)}
    return list(await asyncio.gather(*(_with_outcome(found[one], store) for one in ids if one in found)))


async def cancel_run(reference: str) -> RunState:
    """Ask for a run's end; a queued run ends at once, a running one when its container is gone.

    Raises:
        NotFound: there is none.
        Refused: the run is over already.
    """
    async with connect() as client:
        run = await find_run(client, reference)
        if run.state is None or run.state.is_final():
            raise Refused(f"Run {run.name!r} is over ({run.state_name})", do="There is nothing to cancel")
        waiting = run.state.is_scheduled()
        state = Cancelled(message="Cancelled before it started") if waiting else Cancelling(message="Cancel asked for")
        result = await client.set_flow_run_state(run.id, state)
        if waiting and result.state is not None and result.state.type is not StateType.CANCELLED:
            # An agent claimed it in between.
            result = await client.set_flow_run_state(run.id, Cancelling(message="Cancel asked for"))
        return RunState(result.state.type.value.lower()) if result.state else RunState.CANCELLING


async def retry_run(reference: str) -> RunState:
    """Put a run that failed, crashed or was cancelled back on its queue, for one more attempt of the same code.

    Raises:
        NotFound: there is none.
        Refused: the run completed or is not over, or its queue is gone.
    """
    async with connect() as client:
        run = await find_run(client, reference)
        if run.state is None or not run.state.is_final():
            raise Refused(f"Run {run.name!r} is not over ({run.state_name})", do="Cancel it first, or wait")
        if run.state.is_completed():
            raise Refused(f"Run {run.name!r} completed", do="Submit its job again")
        if run.work_pool_name is None:
            raise Refused(f"The queue of run {run.name!r} is gone", do="Submit its job to another queue")
        state = await schedule_again(client, run.id, "Put back on its queue by hand")
        if state is None or not state.is_scheduled():
            raise Refused(f"The server leaves run {run.name!r} {state.name if state else 'as it is'}", do="Try again")
        return RunState.SCHEDULED


async def wait_run(reference: str, store: JobStore, *, timeout: float | None = None) -> RunInfo:
    """Wait until a run is over.

    Args:
        reference: id or name.
        store: where its outcome is.
        timeout: seconds; None waits for ever.

    Raises:
        TimeoutError: it is not over by then; the run goes on.
        NotFound: there is none.
    """
    async with asyncio.timeout(timeout):
        async with connect() as client:
            run = await find_run(client, reference)
            while run.state is None or not run.state.is_final():
                await asyncio.sleep(0.5)
                run = await client.read_flow_run(run.id)
    return await _with_outcome(run, store)


async def read_log(reference: str, store: JobStore, *, follow: bool = False) -> AsyncIterator[bytes]:
    """A run's own output: whole from the store when it is over, else what has reached the server.

    Raises:
        NotFound: there is no such run.
    """
    async with connect() as client:
        run = await find_run(client, reference)
        tail = OutputTail(client, store)
        while True:
            async for chunk in tail.more(run):
                yield chunk
            if not follow or (run.state is not None and run.state.is_final()):
                return
            await asyncio.sleep(1)
            run = await client.read_flow_run(run.id)


async def fetch_outputs(reference: str, store: JobStore, into: Path) -> list[OutputFile]:
    """Copy a run's outputs into a folder, verified.

    Raises:
        NotFound: there is no such run, or it left nothing yet.
        StoreError: an output is not what the run left.
    """
    async with connect() as client:
        run = await find_run(client, reference)
    outcome = await asyncio.to_thread(store.outcome, str(run.id))
    if outcome is None:
        raise NotFound(f"Run {run.name!r} has no outputs yet ({run.state_name})", do="Wait until it is over")
    for file in outcome.outputs.files:
        target = into / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(store.get_output, outcome.run, outcome.attempt, file, target)
    return list(outcome.outputs.files)
