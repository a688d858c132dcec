"""What a run says of itself while it goes on: its name, and in its state's message what happens now.

Each call costs the server; so a run that was submitted by name and is over within seconds makes none.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.states import Running

from launch_jobs.artifacts import BuildArtifact, harmless
from launch_jobs.build.progress import BuildProgress, Step
from launch_jobs.client import translated_errors
from launch_jobs.context import LaunchContext
from launch_jobs.deployments import FLOW_NAME, run_tags
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.job import JobVersion
from launch_jobs.moments import happens
from launch_jobs.names import attempt_name
from launch_jobs.preparation import Resolved, Say
from launch_jobs.run import Place

_PAUSE_S = 5.0
"""What is over sooner is not told; and nothing is told more often."""

_RANDOM = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+){1,2}")
"""Names that the server (`brave-otter`) and its UIs (`Brave-Otter`, `xi5-harad-sector`) make up."""


def readable_name(name: str, version: JobVersion) -> str:
    """The name of a run that `submit` did not name: the job's and version's before made-up words. Others stay."""
    before = f"{version.name}-v{version.version}-"
    return before + name.lower() if _RANDOM.fullmatch(name) and not name.startswith(before) else name


async def name_run(version: JobVersion, queue: str) -> None:
    """Give a run that was not made by `submit` (in the UI, by a schedule) a readable name, and its job's tags."""
    here = _launching()
    if here is None or here.flow_run is None or "launch.job" in here.flow_run.labels:
        return
    foreign = [tag for tag in here.flow_run.tags if not tag.startswith(("job:", "version:", "queue:"))]
    name, tags = readable_name(here.flow_run.name, version), [*run_tags(version, queue), *foreign]
    if name != here.flow_run.name or set(tags) != set(here.flow_run.tags):
        await harmless(_rename(here.flow_run.id, name, tags))


def _launching() -> FlowRunContext | None:
    """The launch flow around us; None in a user's own flow of our tasks, whose name and state are the user's."""
    here = FlowRunContext.get()
    return here if here is not None and here.flow is not None and here.flow.name == FLOW_NAME else None


async def _rename(run: UUID, name: str, tags: list[str]) -> None:
    async with translated_errors(), get_client() as client:
        await client.update_flow_run(run, name=name, tags=tags)


@asynccontextmanager
async def told_building(resolved: Resolved, *, container: bool) -> AsyncGenerator[Say]:
    """Log the lines of a build, and tell a long one: in the run's state, and by a progress artifact."""
    log, building, over = get_run_logger().info, _Building(resolved.version, container), asyncio.Event()

    def say(line: str) -> None:
        log(line)
        building.read(line)

    telling = asyncio.ensure_future(harmless(building.tell(over), seconds=None))
    try:
        yield say
        building.is_built = True
    finally:
        over.set()
        await telling


class _Building:
    def __init__(self, version: JobVersion, container: bool) -> None:
        self._what = "image" if container else "environment"
        self._began = False
        self._doing = "Building"
        self._progress = BuildProgress()
        self._artifact = BuildArtifact(version)
        self.is_built = False

    def read(self, line: str) -> None:
        # An environment that is there is taken without a word; of an image it is said that it is there.
        if line.startswith("Ready image "):
            self._doing, self._began = "Pulling", True
        self._began = self._began or self._what == "environment" or line.startswith("Building ")
        self._progress.read(line)

    async def tell(self, over: asyncio.Event) -> None:
        told: tuple[bool, Step | None] = (False, None)
        shown = False
        while not await happens(over, _PAUSE_S):
            now = self._began, self._progress.step
            if now == told:
                continue
            told = now
            await _tell(f"{self._doing} the {self._what}{self._step()}")
            if self._progress.step:
                shown = True
                await harmless(self._artifact.show(self._progress, f"Building{self._step()}"))
        if shown:
            await harmless(self._artifact.show(self._progress, self._end()))

    def _end(self) -> str:
        if not self.is_built:
            return f"Not built{self._step()}"
        self._progress.percent = 100.0
        return "Built"

    def _step(self) -> str:
        step = self._progress.step
        return f", step {step.number} of {step.total}" if step else ""


@asynccontextmanager
async def told_running(context: LaunchContext) -> AsyncGenerator[None]:
    """Tell in the run's state where its attempt runs, once it does, if that is for longer than a moment."""
    over = asyncio.Event()
    telling = asyncio.ensure_future(harmless(_tell_where(context, over), seconds=None))
    try:
        yield
    finally:
        # A call that is under way is awaited: it must not reach the server after the run's end.
        over.set()
        await telling


async def _tell_where(context: LaunchContext, over: asyncio.Event) -> None:
    told = ""
    while not await happens(over, _PAUSE_S):
        try:
            place = await context.target.place(attempt_name(context.run, context.attempt))
            status = await context.target.status(place)
        except Unavailable:
            continue
        if status is not None and status.state == "created" and status.error not in {"", told} and not over.is_set():
            told = status.error
            get_run_logger().info("Waiting to start: %s", told)
            await _tell(f"Waiting to start: {told}")
        if status is not None and status.state == "running":
            if not over.is_set():
                await _tell(running_message(place, platform.node()))
            return


def running_message(place: Place, host: str) -> str:
    """Where an attempt runs, for people."""
    what = {"docker": "container", "process": "process"}.get(place.kind, place.kind)
    return f"Running in the {what} {place.name.rpartition('/')[2]} on {host}"


async def _tell(message: str) -> None:
    """Set the message of the run's Running state. The server refuses it of a run that is being cancelled."""
    if _launching() is None:
        return
    try:
        async with translated_errors(), get_client() as client:
            run = await client.read_flow_run(UUID(flow_run.get_id()))
            # The server lets a run go on whose end somebody forced; its agent will hear of that.
            if run.state is None or not run.state.is_final():
                await client.set_flow_run_state(run.id, Running(message=message))
    except LaunchError as error:
        get_run_logger().warning("Not told in the run's state (%s): %s", error, message)
