"""Batches of runs: submitted all or none. Each is created held, and when all are there they are let go in their order.

A held run is one of Prefect's suspended ones: no agent claims it, and only one that is held can be let go. The first
that is let go decides: from then on the batch counts as submitted, and whoever finds others of it still held lets them
go: the same submit again, or an agent of the queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import StateType

from launch_jobs import crashpoints
from launch_jobs.client import connect, create_run, despite_load
from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import digest_of
from launch_jobs.submission import Ground, Request, Submission, check, find_ground

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.store.jobs import JobStore

HELD = "Held"
"""Name of the state of a run whose batch is not whole yet."""

BATCH_LABEL = "launch.batch"
_PLACE_LABEL = "launch.batch-place"
_DIGEST_LABEL = "launch.batch-digest"
_AT_ONCE = 8
_FORSAKEN = timedelta(minutes=1)
"""So long after it was made, nobody who made it will let a held run go, most likely."""

_HELD_STATE: JsonObject = {
    "type": "PAUSED",
    "name": HELD,
    "message": "Held until all runs of its batch are there",
    "state_details": {"pause_reschedule": True},
}


def spread(common: Submission, parameter_sets: Sequence[JsonObject]) -> list[Submission]:
    """One submission for each set of parameters; what a set names counts more than what is common. Pure.

    A common name gets the place in the batch behind it: `sweep-01`.
    """
    width = len(str(len(parameter_sets)))
    submissions: list[Submission] = []
    for place, given in enumerate(parameter_sets, 1):
        texts = {name: text for name, text in common.parameter_texts.items() if name not in given}
        whole = {**common.overrides.parameters, **given}
        change = {
            "overrides": common.overrides.model_copy(update={"parameters": whole}),
            "parameter_texts": texts,
            "name": f"{common.name}-{place:0{width}}" if common.name else None,
        }
        submissions.append(common.model_copy(update=change))
    return submissions


async def submit_batch(submissions: Sequence[Submission], store: JobStore, *, key: str | None = None) -> list[FlowRun]:
    """Put runs on their queues in this order, all of them or none; the same key with the same runs gives the same ones.

    Raises:
        BadInput, Refused: one of them is wrong, which the message names by its place, or the key is another batch's;
            then none was made.
        Unavailable: the server does not answer; the message says with which key to repeat it.
    """
    key = key or uuid4().hex
    try:
        return await despite_load(lambda: _submit_batch(submissions, store, key))
    except Unavailable as error:
        do = f"Repeat it with the key {key}, which completes it; until then it may be held"
        raise Unavailable(f"{error.what}; whether the batch was submitted is not known", do=do) from error


async def _submit_batch(submissions: Sequence[Submission], store: JobStore, key: str) -> list[FlowRun]:
    async with connect() as client:
        checked = await _checked(client, submissions, store)
        runs = await _create(client, checked, _bodies(checked, key))
        await _let_go(client, [run for run in runs if is_held(run)])
        return runs


async def prepare_batch(submissions: Sequence[Submission], store: JobStore) -> list[Request]:
    """Check runs and say what would be sent, sending nothing.

    Raises:
        as `submit_batch`.
    """
    async with connect() as client:
        return [request for _, request in await _checked(client, submissions, store)]


async def _checked(
    client: PrefectClient, submissions: Sequence[Submission], store: JobStore
) -> list[tuple[Ground, Request]]:
    if not submissions:
        raise BadInput("The batch is empty", do="Give at least one set of parameters")
    grounds: dict[tuple[str, str | None], Ground] = {}
    checked: list[tuple[Ground, Request]] = []
    for place, submission in enumerate(submissions, 1):
        named = submission.job, submission.queue
        try:
            if named not in grounds:
                grounds[named] = await find_ground(client, submission, store)
            checked.append((grounds[named], await check(grounds[named], submission, store)))
        except (BadInput, Refused) as error:
            raise type(error)(f"Run {place} of {len(submissions)}: {error.what}", do=error.do) from error
    return checked


def _bodies(checked: list[tuple[Ground, Request]], key: str) -> list[JsonObject]:
    """What the server is sent: each with a key of its own, and with what tells the batch from others of its key."""
    bodies = [request.body for _, request in checked]
    told = [{name: body[name] for name in body if name not in {"name", "idempotency_key"}} for body in bodies]
    digest = digest_of([*told])
    return [
        {
            **body,
            "idempotency_key": _key(key, place),
            "labels": {
                **cast("JsonObject", body["labels"]),
                BATCH_LABEL: key,
                _PLACE_LABEL: place,
                _DIGEST_LABEL: digest,
            },
        }
        for place, body in enumerate(bodies, 1)
    ]


def _key(batch: str, place: int) -> str:
    return f"{batch}/{place}"


async def _create(
    client: PrefectClient, checked: list[tuple[Ground, Request]], bodies: list[JsonObject]
) -> list[FlowRun]:
    """Create the runs, held; those that are there already are as they are.

    Raises:
        BadInput: the first one is another batch's.
    """
    grounds = {id(ground): ground for ground, _ in checked}
    entries = {number: await ground.deployment(client) for number, ground in grounds.items()}

    async def make(place: int) -> FlowRun:
        run = await create_run(client, entries[id(checked[place][0])], bodies[place], _HELD_STATE)
        crashpoints.reach("batch.made")
        return run

    runs = [await make(0)]
    labels = cast("JsonObject", bodies[0]["labels"])
    if runs[0].labels.get(_DIGEST_LABEL) != labels[_DIGEST_LABEL]:
        raise BadInput(
            f"The key {labels[BATCH_LABEL]!r} was used for something else", do="Take another key, or repeat that batch"
        )
    for start in range(1, len(bodies), _AT_ONCE):
        places = range(start, min(start + _AT_ONCE, len(bodies)))
        made = await asyncio.gather(*map(make, places), return_exceptions=True)
        failed = next((one for one in made if isinstance(one, BaseException)), None)
        if failed:
            raise failed
        runs += [one for one in made if not isinstance(one, BaseException)]
    return runs


def is_held(run: FlowRun) -> bool:
    """Whether a run waits for its batch to be whole. Pure."""
    return run.state_type is StateType.PAUSED and run.state_name == HELD and BATCH_LABEL in run.labels


async def _let_go(client: PrefectClient, held: Iterable[FlowRun]) -> None:
    """One after the other, for the server's clock gives them their places in line; it looks that each is held still."""
    for run in held:
        crashpoints.reach("batch.release")
        await client.resume_flow_run(run.id)


async def complete_batches(client: PrefectClient, paused: Iterable[FlowRun], now: datetime | None = None) -> int:
    """Let runs go that are held although their batch was submitted: whoever did it is gone; how many.

    Args:
        client: an open Prefect client.
        paused: runs among which to look.
        now: the moment that counts; None: this one.
    """
    moment = now or datetime.now(UTC)
    batches: dict[str, list[FlowRun]] = defaultdict(list)
    for run in paused:
        if is_held(run) and run.state is not None and moment - run.state.timestamp > _FORSAKEN:
            batches[str(run.labels[BATCH_LABEL])].append(run)
    completed = 0
    for key, held in batches.items():
        if await _is_submitted(client, key):
            await _let_go(client, sorted(held, key=lambda run: int(str(run.labels.get(_PLACE_LABEL, 0)))))
            completed += len(held)
    return completed


async def _is_submitted(client: PrefectClient, key: str) -> bool:
    """Whether the first run of a batch was ever let go."""
    chosen = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[_key(key, 1)]))
    for first in await client.read_flow_runs(flow_run_filter=chosen, limit=1):
        states = await client.read_flow_run_states(first.id)
        return any(state.type is StateType.SCHEDULED for state in states)
    return False
