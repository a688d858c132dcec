"""What surrounds one attempt while its flow runs: where, with what configuration, and how it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from launch_jobs.agent_file import AgentFile
from launch_jobs.cluster_access import ReachedCluster
from launch_jobs.configured import configured_store, offer_git_account
from launch_jobs.datasets import dataset_cache
from launch_jobs.docker_access import DockerAccess
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore
from launch_jobs.targets import Target
from launch_jobs.targets.configuration import ProcessConfiguration
from launch_jobs.targets.template import base_job_template

TargetKind = Literal["docker", "kubernetes", "process"]
Labels = dict[str, str | int]


async def _record_nothing(labels: Labels) -> None:
    """A run without a server record has nowhere to write its place."""


async def _assign_none(number: int) -> tuple[str, ...]:
    """Where nobody counts devices, the engine gives any."""
    return ()


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """One attempt's surroundings.

    Attributes:
        run: the flow run's id.
        kind: the queue's type.
        queue: the queue's name; empty outside a queue.
        template: the queue's base job template.
        settings: this machine's.
        store: the job store.
        target: where the attempt runs.
        docker: the engine that images are built on.
        cluster: of a Kubernetes queue.
        agent: the agent's own file: what this host grants.
        variables: job variables, the deployment's and then the submitter's.
        attempt: counted by us from 1.
        is_resumed: the attempt was written down by an agent before: some of it may have been made, or told.
        record: writes labels on the flow run, in one call.
        assign: gives the run as many devices, waiting until they are free; none where nobody counts them.
        cancelled: set when the run shall end.
    """

    run: str
    kind: TargetKind
    queue: str
    template: JsonObject
    settings: LaunchSettings
    store: JobStore
    target: Target
    docker: DockerAccess = field(default_factory=DockerAccess)
    cluster: ReachedCluster = field(default_factory=ReachedCluster)
    agent: AgentFile = field(default_factory=AgentFile)
    variables: tuple[JsonObject, ...] = ()
    attempt: int = 1
    is_resumed: bool = False
    record: Callable[[Labels], Awaitable[None]] = _record_nothing
    assign: Callable[[int], Coroutine[object, object, tuple[str, ...]]] = _assign_none
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


_CURRENT: ContextVar[LaunchContext | None] = ContextVar("launch_context", default=None)


def enter_context(context: LaunchContext) -> None:
    """Make `context` the one of the current asynchronous task and of what it calls."""
    _CURRENT.set(context)
    offer_git_account(context.settings)


def current_context(run: str | None, settings: Callable[[], LaunchSettings]) -> LaunchContext:
    """The context the agent entered, or, for a flow called from Python, one on this machine's process target."""
    context = _CURRENT.get()
    if context is None:
        here = settings()
        context = LaunchContext(
            run=run or str(uuid4()),
            kind="process",
            queue="",
            template=base_job_template(ProcessConfiguration),
            settings=here,
            store=configured_store(here),
            target=make_target("process", here, DockerAccess()),
        )
        enter_context(context)
    return context


def is_on_queue() -> bool:
    """Whether the current work is an agent's: a flow called from Python has no queue to go back to."""
    context = _CURRENT.get()
    return context is not None and bool(context.queue)


def make_target(
    kind: str,
    settings: LaunchSettings,
    access: DockerAccess,
    agent: AgentFile | None = None,
    *,
    cluster: ReachedCluster | None = None,
) -> Target:
    """The target of a queue type on this machine; without an agent's file it grants nothing.

    Raises:
        BadInput: there is no such kind.
        Unavailable: its infrastructure does not answer.
    """
    if kind == "docker":
        from launch_jobs.engine import connect
        from launch_jobs.targets.docker import DockerTarget

        cache = str(dataset_cache(settings.home).resolve())
        allow = (agent or AgentFile()).allow
        grants = allow.model_copy(update={"read_only_mounts": (*allow.read_only_mounts, cache)})
        return DockerTarget(lambda: connect(access.base_url, login=access.login), grants=grants)
    if kind == "process":
        from launch_jobs.targets.process import ProcessTarget

        return ProcessTarget(settings.home)
    if kind == "kubernetes":
        from launch_jobs.targets.kubernetes.kinds import load_kinds
        from launch_jobs.targets.kubernetes.target import KeeperChoice, KubernetesTarget

        to, file = cluster or ReachedCluster(), agent or AgentFile()
        return KubernetesTarget(
            to.access,
            grants=file.allow.kubernetes,
            kinds=load_kinds(file.kinds),
            keeper=KeeperChoice(to.outputs_image, to.outputs_wait),
        )
    raise BadInput(f"{kind!r} is no target", do="Choose docker, kubernetes or process")
