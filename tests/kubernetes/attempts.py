"""Attempts on a cluster, played to their end by the steps of an agent's flow: how `launch show` tells of them."""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from launch_jobs.cluster import ClusterAccess
from launch_jobs.context import LaunchContext
from launch_jobs.errors import Unavailable
from launch_jobs.execution import execute
from launch_jobs.job import Entrypoint, ImageSource, Job, JsonObject, Origin, Overrides
from launch_jobs.names import attempt_name
from launch_jobs.preparation import Prepared, resolve
from launch_jobs.run import Outcome
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets import AttemptStatus
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.target import KubernetesTarget
from launch_jobs.targets.template import base_job_template, with_operator_fields
from launch_jobs.testing import MemoryObjects, MemoryOutput

LIMIT_S, _END_S = 120.0, 90.0
"""Of the wait for what is to be seen, and of the end after that: a machine may have much else to do."""

Meddle = Callable[[str], Awaitable[None]]
"""Does something to the attempt of this name."""


@dataclass(frozen=True)
class Play:
    """What is run, and what is done to it.

    Attributes:
        script: for a shell.
        operator: the queue's fields.
        variables: the run's.
        image: None: the base image.
        meddle: called once it runs.
        told: it waits to start; once its reason holds this, it is cancelled.
    """

    script: str = "sleep 600"
    operator: JsonObject = field(default_factory=JsonObject)
    variables: JsonObject = field(default_factory=JsonObject)
    image: str | None = None
    meddle: Meddle | None = None
    told: str = ""


@dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
        outcome: its outcome.
        log: its lines, as the store has them.
        told: why it had not started, when last asked.
    """

    outcome: Outcome
    log: tuple[str, ...]
    told: str = ""


class Stage:
    """Plays attempts, all on one target."""

    def __init__(self, target: KubernetesTarget, image: str, home: Path) -> None:
        self._target, self._image = target, image
        self._store, self._settings = JobStore(MemoryObjects()), LaunchSettings(home=home)

    async def play(self, play: Play) -> Ended:
        """Run it to its end.

        Raises:
            LaunchError: nothing could be made.
        """
        model = KubernetesConfiguration
        context = LaunchContext(
            run=str(uuid.uuid4()),
            kind="kubernetes",
            queue="q",
            template=with_operator_fields(base_job_template(model), model, play.operator),
            settings=self._settings,
            store=self._store,
            target=self._target,
            variables=({"stop_grace_seconds": 1, **play.variables},),
        )
        image = play.image or self._image
        job = Job(source=ImageSource(reference=image), entrypoint=Entrypoint(argv=("sh", "-c", play.script)))
        version = self._store.add(f"play-{context.run}", job, Origin())
        resolved = await resolve(context, version.reference, Overrides())
        running = asyncio.ensure_future(execute(context, resolved, Prepared(image=image), MemoryOutput()))
        try:
            async with asyncio.timeout(LIMIT_S + _END_S):
                told = await self._meddle(play, context, running)
                outcome = await running
        finally:
            running.cancel()
        with tempfile.NamedTemporaryFile() as log:
            has_log = self._store.get_log(outcome.run, outcome.attempt, Path(log.name))
            lines = Path(log.name).read_text().splitlines() if has_log else []  # noqa: ASYNC240 # a test may wait
        return Ended(outcome, tuple(lines), told)

    async def _meddle(self, play: Play, context: LaunchContext, running: asyncio.Future[Outcome]) -> str:
        name = attempt_name(context.run, context.attempt)
        if play.told:
            status = await self._until(name, running, lambda one: play.told in one.error)
            context.cancelled.set()
            return status.error if status else ""
        if play.meddle:
            await self._until(name, running, lambda one: one.state == "running")
            await play.meddle(name)
        return ""

    async def _until(
        self, name: str, running: asyncio.Future[Outcome], what: Callable[[AttemptStatus], bool]
    ) -> AttemptStatus | None:
        """Wait until something is said of an attempt, or it is over; then what was said last."""
        deadline, status = time.monotonic() + LIMIT_S, None
        while time.monotonic() < deadline and not running.done():
            with suppress(Unavailable):
                status = await self._target.status(await self._target.place(name))
            if status is not None and what(status):
                break
            await asyncio.sleep(0.2)
        return status


def access_to(kubeconfig: Path, **user: str) -> ClusterAccess:
    """The cluster of a kubeconfig, as its user or as another."""
    config = yaml.safe_load(kubeconfig.read_text())
    if user:
        config["users"] = [{"name": one["name"], "user": user} for one in config["users"]]
    return ClusterAccess(config)
