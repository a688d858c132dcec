"""`launch check`: the store is whole, nothing of ours is orphaned, no run is lost. It looks, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Field

from launch_jobs.batch import BATCH_LABEL, is_held
from launch_jobs.client import connect
from launch_jobs.docker_access import docker_access
from launch_jobs.engine import opened
from launch_jobs.errors import LaunchError, StoreError, Unavailable
from launch_jobs.job import Frozen
from launch_jobs.names import attempt_of
from launch_jobs.queue import list_queues
from launch_jobs.runs import CLAIM, every_run
from launch_jobs.targets import attempt_folder
from launch_jobs.targets.render import LABEL_PREFIX
from launch_jobs.workers.ownership import identity_of, is_worked_on

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.jobs import JobStore

Say = Callable[[str], None]

LONG = timedelta(minutes=2)
"""So long an active run may be without an agent: the next one of its home adopts it within seconds."""

_ACTIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_PROGRAM_ENDED = ("Exited with code", "Stopped at its time limit", "Killed for using more memory", "Its container or")
"""How the messages of runs begin whose program had started (`conclusion.conclude`)."""


class Fault(Frozen):
    """Something that is not as it should be."""

    part: str = Field(description="store, runs, containers or processes.")
    key: str = Field(description="Which object, run, container or folder.")
    what: str
    do: str
    kind: Literal["damage", "stray"] = "damage"
    """`stray`: something that does not belong there, and harms nothing."""


class Unchecked(Frozen):
    """A part that could not be looked at."""

    part: str
    what: str
    do: str


class Audit(Frozen):
    """What `launch check` found."""

    checked: tuple[str, ...] = Field(description="Parts that were looked at.")
    faults: tuple[Fault, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def damaged(self) -> bool:
        """Whether something is wrong; strays are not."""
        return any(fault.kind == "damage" for fault in self.faults)

    @property
    def whole(self) -> bool:
        """Whether everything was looked at, and nothing is wrong."""
        return not self.damaged and not self.unchecked


class Attempt(NamedTuple):
    """Something on this machine that an attempt left or runs in."""

    run: str
    number: int
    name: str


async def audit(
    settings: LaunchSettings, store: Callable[[], JobStore], say: Say, now: datetime | None = None
) -> Audit:
    """Look at every part; one that does not answer does not keep the others from being looked at.

    Args:
        settings: this machine's.
        store: opens the job store.
        say: told what is being looked at.
        now: the moment that counts; None: this one.
    """
    moment = now or datetime.now(UTC)
    parts = {
        "store": lambda: _store(store, say),
        "runs": lambda: _runs(settings, store, moment),
        "containers": lambda: _containers(settings),
        "processes": lambda: _processes(settings.home),
    }
    checked: list[str] = []
    faults: list[Fault] = []
    unchecked: list[Unchecked] = []
    for name, look in parts.items():
        say(f"Checking {name}")
        try:
            faults += [fault async for fault in look()]
            checked.append(name)
        except StoreError as error:
            faults.append(Fault(part=name, key=settings.store_url, what=error.what, do=error.do))
        except LaunchError as error:
            unchecked.append(Unchecked(part=name, what=error.what, do=error.do))
    return Audit(checked=tuple(checked), faults=tuple(faults), unchecked=tuple(unchecked))


async def _store(store: Callable[[], JobStore], say: Say) -> AsyncIterator[Fault]:
    opened_store = await asyncio.to_thread(store)
    for finding in await asyncio.to_thread(lambda: list(opened_store.check(say))):
        yield Fault(part="store", key=finding.key, what=finding.what, do=finding.do, kind=finding.kind)


async def _runs(settings: LaunchSettings, store: Callable[[], JobStore], now: datetime) -> AsyncIterator[Fault]:
    """Runs that are lost: ended without a trace, without anybody who works on them, or without a queue."""
    async with connect() as client:
        async for run in every_run(client):
            if run.state is None:
                continue
            if run.state.is_final():
                what, do = await _ended(run, store)
            elif run.state_type in _ACTIVE:
                what, do = await _active(client, run, settings.home, now)
            else:
                what, do = _waiting(run, now)
            if what:
                yield Fault(part="runs", key=f"{run.name} ({run.id})", what=what, do=do)


async def _ended(run: FlowRun, store: Callable[[], JobStore]) -> tuple[str, str]:
    """A run whose program ran leaves an outcome, unless it was cancelled before, or never started."""
    message = (run.state.message if run.state else None) or ""
    started = run.state_type is StateType.COMPLETED or message.startswith(_PROGRAM_ENDED)
    if not started or "launch.place" not in run.labels:
        return "", ""
    attempt = int(str(run.labels["launch.attempt"]))
    if await asyncio.to_thread(_is_kept, store, str(run.id), attempt):
        return "", ""
    return f"it is over ({run.state_name}), but the store has no outcome of attempt {attempt}", "Run the job again"


def _is_kept(store: Callable[[], JobStore], run: str, attempt: int) -> bool:
    try:
        return store().outcome(run, attempt) is not None
    except StoreError:
        return True  # it is there, damaged, and named by the part that looks at the store


async def _active(client: PrefectClient, run: FlowRun, home: Path, now: datetime) -> tuple[str, str]:
    """An active run needs an agent: one of this home shows it by its lock, another by its heartbeat."""
    since = run.state.timestamp if run.state else now
    if now - since < LONG or is_worked_on(home, str(run.id)):
        return "", ""
    claims = [CLAIM.fullmatch(state.message or "") for state in await client.read_flow_run_states(run.id)]
    claimed_by = [claim["identity"] for claim in claims if claim]
    here = bool(claimed_by) and claimed_by[-1] == identity_of(home)
    if not here and run.work_pool_name and await _served(client, run.work_pool_name):
        return "", ""
    state = f"it is {run.state_name} since {since.astimezone(UTC).isoformat(timespec='seconds')}"
    where = "the agent of this home" if here else f"every agent of {run.work_pool_name or 'its deleted queue'}"
    do = f"launch agent -q {run.work_pool_name}" + ("" if here else " on its host") + ", which adopts it"
    return f"{state}, but {where} is gone", do if run.work_pool_name else "Cancel it"


async def _served(client: PrefectClient, queue: str) -> bool:
    workers = await client.read_workers_for_work_pool(queue)
    return any(worker.status is WorkerStatus.ONLINE for worker in workers)


def _waiting(run: FlowRun, now: datetime) -> tuple[str, str]:
    if is_held(run) and run.state is not None and now - run.state.timestamp > LONG:
        key = run.labels[BATCH_LABEL]
        return "it is held: its batch was never submitted whole", f"Repeat that submit with --key {key}, or cancel it"
    if run.work_pool_name is not None:
        return "", ""
    return f"it is {run.state_name}, but its queue is gone", "Cancel it and submit it again"


class _Listed(BaseModel):
    names: list[str] = Field(alias="Names")
    labels: dict[str, str] | None = Field(default=None, alias="Labels")


async def _containers(settings: LaunchSettings) -> AsyncIterator[Fault]:
    """Containers of attempts that are over. They are listed again at the end: one that went meanwhile was none."""
    async with connect() as client:
        access = await docker_access(settings)
        try:
            found = await asyncio.to_thread(_list_containers, access.base_url)
        except Unavailable as error:
            if await _needs_docker(settings, error):
                raise
            return
        orphans = [(attempt, why) for attempt in found if (why := await _over(client, attempt))]
    still = set(await asyncio.to_thread(_list_containers, access.base_url)) if orphans else set[Attempt]()
    for attempt, why in orphans:
        if attempt in still:
            yield Fault(
                part="containers", key=attempt.name, what=why, do=f"Look at it, then docker rm -f {attempt.name}"
            )


async def _needs_docker(settings: LaunchSettings, error: Unavailable) -> bool:
    """Whether an engine that does not answer may hold something of ours: not where none is installed, unless agents of
    this home ran and there are docker queues."""
    if not isinstance(error.__cause__, FileNotFoundError):
        return True
    return identity_of(settings.home) is not None and any(queue.type == "docker" for queue in await list_queues())


def _list_containers(base_url: str | None) -> list[Attempt]:
    with opened(base_url) as engine:
        found = engine.containers(all=True, filters={"label": [f"{LABEL_PREFIX}run"]})
    return [_attempt(_Listed.model_validate(listed)) for listed in found]


def _attempt(listed: _Listed) -> Attempt:
    labels = listed.labels or {}
    number = labels.get(f"{LABEL_PREFIX}attempt", "")
    name = listed.names[0].removeprefix("/") if listed.names else ""
    return Attempt(labels[f"{LABEL_PREFIX}run"], int(number) if number.isdecimal() else 1, name)


async def _processes(home: Path) -> AsyncIterator[Fault]:
    """Folders of attempts that are over, and what still runs in them."""
    async with connect() as client:
        for folder in sorted((home / "runs").glob("lj-*")):
            found = attempt_of(folder.name)
            why = await _over(client, Attempt(*found, folder.name)) if found else None
            status = await asyncio.to_thread(attempt_folder.status, folder)
            if why and status:
                runs = status.state == "running"
                do = "Look at it, then end its processes" if runs else "launch prune --only sources"
                state = "its program runs" if runs else "its folder is left"
                yield Fault(part="processes", key=str(folder), what=f"{state}, but {why}", do=do)


async def _over(client: PrefectClient, attempt: Attempt) -> str | None:
    """Why nobody needs an attempt any more; None if somebody may."""
    from uuid import UUID

    try:
        run = await client.read_flow_run(UUID(attempt.run))
    except (ObjectNotFound, ValueError):
        return f"this server knows no run {attempt.run} (another server may, if it shares this machine)"
    if run.state is not None and run.state.is_final():
        return f"its run {run.name} is over ({run.state_name})"
    current = int(str(run.labels.get("launch.attempt", attempt.number)))
    if current > attempt.number:
        return f"its run {run.name} is at attempt {current}"
    return None
