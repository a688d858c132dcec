"""Runs whose agent is dead: the thin reading and acting around the decision of `decision.py`.

Agents of one home tell each other's life by file locks, at once. Of another home or host the server knows: its agents
count as dead when they have been offline for a while; sooner where both have a Lease of one cluster (`lease.py`). Of
several that would take a run over, whoever creates a variable of a certain name does (decision record 6).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Crashed, Running

from launch_jobs import crashpoints
from launch_jobs.client import FLOW_LABEL
from launch_jobs.deployments import FLOW_ENTRYPOINT
from launch_jobs.run import RunState
from launch_jobs.runs import CLAIM
from launch_jobs.workers.admission import waiting_again
from launch_jobs.workers.conductor import DEATHS_LABEL
from launch_jobs.workers.decision import MOST_DEATHS, Action, Case, Found, Owner, decide
from launch_jobs.workers.leftovers import ADOPTION
from launch_jobs.workers.tenure import clock_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from prefect import State
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.workers.worker import LaunchWorker

_AT_ONCE = 8
_WORKERS_S = 5.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The last claim in a run's history.

    Attributes:
        agent: name of the agent, as the server knows it.
        identity: of the agent's home.
        state: id of the claim's state.
    """

    agent: str
    identity: str
    state: UUID


def last_claim(states: Sequence[State[Any]]) -> Claim | None:  # Prefect's untyped states
    """Who claimed a run last, by its state history; later states do not say it. Pure."""
    for state in sorted(states, key=lambda state: state.timestamp, reverse=True):
        found = CLAIM.fullmatch(state.message or "")
        if found and found["identity"]:
            return Claim(found["agent"], found["identity"], state.id)
    return None


def undone_end(run: FlowRun, states: Sequence[State[Any]]) -> State[Any] | None:  # as above
    """The end that a run has had, if what was set after it came too late: nobody has put it back on its queue. Pure.

    The server lets a run leave its end, for whoever asks, and however long a request was on its way.
    """
    history = sorted(states, key=lambda state: state.timestamp)
    if not history or history[-1].id != run.state_id or history[-1].is_final():
        return None  # it is over; or the server's clock was set back, and the order tells nothing
    last = next((state for state in reversed(history) if state.is_final() or state.is_scheduled()), None)
    return last if last is not None and last.is_final() else None


class Reconciler:
    """Looks after the runs of one launch queue that an agent does not work on itself. Used from its main thread."""

    def __init__(self, worker: LaunchWorker, grace_s: float) -> None:
        self._worker = worker
        self._grace_s = grace_s
        self._claims: dict[UUID, tuple[UUID, Claim | None]] = {}
        """Claims of runs that were left, with the state they were seen in: a history is read once."""
        self._online: tuple[float, set[str]] = (0.0, set())
        self._away: dict[str, float] = {}

    def forget_absences(self) -> None:
        """The server was away: who looks dead may only not have been heard of."""
        self._away.clear()

    async def look_after(self, runs: list[FlowRun]) -> None:
        """Decide about each run, and do it."""
        self._claims = {run.id: self._claims[run.id] for run in runs if run.id in self._claims}
        others = [run for run in runs if run.id not in self._worker.active]
        failed: list[BaseException] = []
        for start in range(0, len(others), _AT_ONCE):
            failed += await self._look_after(others[start : start + _AT_ONCE])
        if failed:
            raise failed[0]

    async def _look_after(self, runs: list[FlowRun]) -> list[BaseException]:
        """Decide about a few runs at once, read anew by one call; what failed: no other run waits for that."""
        ownership = self._worker.ownership
        left = [run for run in runs if not await self._is_left_to_others(run)]
        taken = [run for run in left if ownership.take(str(run.id))]
        fresh: list[FlowRun] = []
        try:
            # Their former owners may have ended them between our list and our locks.
            fresh = await self._read([run.id for run in taken])
        finally:
            for run in {run.id for run in taken} - {run.id for run in fresh}:
                ownership.release(str(run))
        ended = await asyncio.gather(*map(self._act_or_release, fresh), return_exceptions=True)
        return [error for error in ended if error is not None]

    async def _act_or_release(self, run: FlowRun) -> None:
        is_kept = False
        try:
            is_kept = run.state is not None and await self._act(run)
        finally:
            if not is_kept:
                self._worker.ownership.release(str(run.id))

    async def _read(self, runs: list[UUID]) -> list[FlowRun]:
        if not runs:
            return []
        return await self._worker.client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=runs)))

    async def _is_left_to_others(self, run: FlowRun) -> bool:
        """Whether nothing has changed about a run that was another living agent's when last seen."""
        seen, claim = self._claims.get(run.id, (None, None))
        if seen is None or seen != run.state_id:
            return False
        return await self._owner(claim) is not Owner.DEAD

    async def _act(self, run: FlowRun) -> bool:
        """Whether the run is ours to work on from now."""
        since = clock_s()
        states = await self._worker.client.read_flow_run_states(run.id)
        claim = last_claim(states)
        owner = await self._owner(claim)
        if run.state_id is not None:
            self._claims[run.id] = run.state_id, claim
        if claim is None or owner is not Owner.DEAD:
            return False
        if (end := undone_end(run, states)) is not None:
            await self._worker.client.set_flow_run_state(run.id, end, force=True)
            return False
        is_foreign = claim.identity != self._worker.ownership.identity
        case = await self._case(run, claim, owner)
        action = decide(case)
        if action in {Action.ADOPT, Action.LOSE, Action.REQUEUE} and is_foreign and not await self._wins(run, claim):
            return False
        return await self._do(action, run, case, since)

    async def _case(self, run: FlowRun, claim: Claim, owner: Owner) -> Case:
        conductor, claimed_here = self._worker.conductor, claim.identity == self._worker.ownership.identity
        found, is_ended = await asyncio.wrap_future(self._worker.thread.submit(conductor.find(run, claimed_here)))
        state = RunState((run.state_type or StateType.SCHEDULED).value.lower())
        return Case(state, owner, found, is_ended, deaths=self._deaths(run, claim, found))

    def _deaths(self, run: FlowRun, claim: Claim, found: Found) -> int:
        """How many agents died of this run, maybe. A user's own flow may be long: its agents' deaths tell nothing."""
        lease = self._worker.lease
        has_left = lease is not None and lease.has_left(claim.identity)
        asked = self._worker.ownership.was_signed_off(str(run.id)) or has_left
        before = int(str(run.labels.get(DEATHS_LABEL, 0)))
        is_launch = str(run.labels.get(FLOW_LABEL, "")) == FLOW_ENTRYPOINT
        return before if asked or not is_launch or found not in {Found.UNPLACED, Found.ABSENT} else before + 1

    async def _do(self, action: Action, run: FlowRun, case: Case, since: float) -> bool:
        worker = self._worker
        match action:
            case Action.ADOPT:
                crashpoints.reach("adopt.before")
                worker.work_on(run, adopted=True, since=since)
            case Action.LOSE:
                await asyncio.wrap_future(worker.thread.submit(worker.conductor.lose(run)))
                worker.work_on(run, adopted=True, since=since)
            case Action.CANCEL:
                worker.hand_over(run, asyncio.Event(), worker.conductor.end_cancelled(run))
            case Action.REQUEUE:
                crashpoints.reach("requeue.before")
                await self._requeue(run, case.deaths)
            case Action.PARK:
                await self._park(run)
            case Action.LEAVE:
                pass
        return action in {Action.ADOPT, Action.LOSE, Action.CANCEL}

    async def _requeue(self, run: FlowRun, deaths: int) -> None:
        client = self._worker.client
        await asyncio.wrap_future(self._worker.thread.submit(self._worker.conductor.close_task_runs(run)))
        if deaths != int(str(run.labels.get(DEATHS_LABEL, 0))):
            await client.update_flow_run_labels(run.id, {DEATHS_LABEL: deaths})
        message = "Back in its old place: its agent ended before it was started"
        await client.set_flow_run_state(run.id, waiting_again(run, message))

    async def _park(self, run: FlowRun) -> None:
        client = self._worker.client
        # Released, it begins anew.
        await client.update_flow_run_labels(run.id, {DEATHS_LABEL: 0})
        message = (
            f"Parked: {MOST_DEATHS} agents died while they prepared it; look at their logs, "
            f"then release it with `launch retry {run.id}`"
        )
        await client.set_flow_run_state(run.id, Crashed(name="Parked", message=message))

    async def _owner(self, claim: Claim | None) -> Owner:
        """Whether the claiming agent lives; asked of a run whose lock in this home is free."""
        if claim is None:
            return Owner.UNKNOWN
        if claim.identity == self._worker.ownership.identity:
            return Owner.DEAD
        if self._worker.lease is not None and self._worker.lease.proves_dead(claim.identity):
            return Owner.DEAD
        if claim.agent == self._worker.name or claim.agent in await self._online_agents():
            self._away.pop(claim.agent, None)
            return Owner.ALIVE
        since = self._away.setdefault(claim.agent, time.monotonic())
        return Owner.DEAD if time.monotonic() - since >= self._grace_s else Owner.UNKNOWN

    async def _online_agents(self) -> set[str]:
        read, names = self._online
        if not read or time.monotonic() > read + _WORKERS_S:
            workers = await self._worker.client.read_workers_for_work_pool(self._worker.pool)
            names = {worker.name for worker in workers if worker.status is WorkerStatus.ONLINE}
            self._online = time.monotonic(), names
        return names

    async def _wins(self, run: FlowRun, claim: Claim) -> bool:
        """Become the only one who takes a run over from an agent elsewhere, and claim it anew."""
        client, names = self._worker.client, [_variable(run, claim, 0)]
        while not await self._makes(names[-1]):
            if not await self._is_abandoned(names[-1]):
                return False
            # Whoever made it died before the new claim was written; the next name has one maker again.
            names.append(_variable(run, claim, len(names)))
        # Somebody may have taken the run over, and cleaned up, before our variable was made; or its agent is back.
        is_same = last_claim(await client.read_flow_run_states(run.id)) == claim
        is_same = is_same and await self._owner(claim) is Owner.DEAD
        if is_same:
            await client.set_flow_run_state(run.id, Running(message=self._worker.claim_message), force=True)
        for name in names:
            with suppress(ObjectNotFound):
                await client.delete_variable_by_name(name)
        return is_same

    async def _makes(self, name: str) -> bool:
        try:
            await self._worker.client.create_variable(VariableCreate(name=name, value=self._worker.claim_message))
        except ObjectAlreadyExists:
            return False
        return True

    async def _is_abandoned(self, name: str) -> bool:
        there = await self._worker.client.read_variable_by_name(name)
        found = CLAIM.fullmatch(str(there.value)) if there else None
        if there is None or found is None:
            return False
        return await self._owner(Claim(found["agent"], found["identity"] or "", there.id)) is Owner.DEAD


def _variable(run: FlowRun, claim: Claim, number: int) -> str:
    return f"{ADOPTION}{run.id}-{claim.state}-{number}"
