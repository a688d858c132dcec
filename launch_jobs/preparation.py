"""The first steps of a run: resolve its job, prepare what it runs in. What is made already is found, not made again."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from launch_jobs.agent_file import check_images
from launch_jobs.arguments import complete_parameters, render_arguments, with_further
from launch_jobs.build import Builder
from launch_jobs.build.requirements import source_paths
from launch_jobs.config_files.rendering import changed_files
from launch_jobs.context import LaunchContext
from launch_jobs.datasets import AnyDataset, CarriedDataset, cached_folder, dataset_cache, find_datasets
from launch_jobs.docker_access import DockerAccess, with_registry
from launch_jobs.errors import BadInput, BuildError, LaunchError, Refused, Unavailable
from launch_jobs.full_disk import on_disk, tells_ill_disk
from launch_jobs.images import (
    bring_ready,
    build_planned,
    cluster_builder,
    docker_builder,
    fetch_wheels,
    plan_image,
    ready_image,
)
from launch_jobs.job import Environment, Frozen, ImageSource, Job, JobVersion, Overrides, Source
from launch_jobs.moments import ending_with
from launch_jobs.names import JobRef, attempt_name
from launch_jobs.results import paths_to_collect
from launch_jobs.run import Place
from launch_jobs.run_secrets import bound
from launch_jobs.targets import RunSpec
from launch_jobs.targets.configuration import (
    ContainerConfiguration,
    DockerConfiguration,
    ProcessConfiguration,
)
from launch_jobs.targets.queue_types import CONFIGURATIONS
from launch_jobs.targets.render import Attempt, StagedDataset, render_docker, render_process
from launch_jobs.targets.secret_files import GivenSecret
from launch_jobs.targets.template import merge_variables, render_configuration

T = TypeVar("T")
Say = Callable[[str], None]


class RunCancelled(LaunchError):
    """The run was cancelled before its attempt started; nothing is left of it."""

    exit_code = 1


class NotBuiltInTime(LaunchError):
    """The image or environment was not built within the queue's time limit."""

    exit_code = 1


class NotStartedInTime(LaunchError):
    """What the program needs was not there within the queue's start deadline: never the user's failure."""

    exit_code = 1


class Resolved(Frozen):
    """A run's job and configuration, decided."""

    version: JobVersion
    overrides: Overrides
    configuration: ContainerConfiguration | ProcessConfiguration
    written: tuple[str, ...] | None = ()
    """Paths in the source tree that captured runs wrote: outputs too. None: no run was captured that could tell."""
    datasets: tuple[AnyDataset, ...] = ()


class Prepared(Frozen):
    """What the attempt will run in."""

    image: str
    """Docker: image id or reference. Process: folder of the virtual environment, or empty."""
    workdir: str | None = None
    root: str | None = None
    waited_s: float = 0.0
    """Seconds of the start deadline that are gone: building is not meant by it, a pull is."""


async def resolve(context: LaunchContext, job: str, overrides: Overrides) -> Resolved:
    """Find the job version, complete and check the parameters, render the queue's configuration.

    Raises:
        NotFound, BadInput, Refused, StoreError: as their messages say.
    """
    version = await asyncio.to_thread(context.store.resolve, JobRef.parse(job))
    records = await asyncio.to_thread(context.store.records, version)
    captured = records[-1].parameters if records else {}
    parameters = complete_parameters(version.job.inputs, captured, overrides.parameters)
    configuration = render_configuration(
        context.template, merge_variables(context.template, *context.variables), CONFIGURATIONS[context.kind]
    )
    await _check_host(context, configuration, version.job.source)
    datasets = await asyncio.to_thread(find_datasets, context.store, overrides.datasets, version)
    return Resolved(
        version=version,
        overrides=overrides.model_copy(update={"parameters": parameters}),
        configuration=configuration,
        written=paths_to_collect(record.outputs for record in records),
        datasets=datasets,
    )


async def _check_host(
    context: LaunchContext, configuration: ContainerConfiguration | ProcessConfiguration, source: Source
) -> None:
    """Look into the agent's own file before anything is built; an attempt that was started goes on in any case.

    Raises:
        Refused: this host does not give what the run or its queue wants.
    """
    try:
        bound(context.agent, context.queue, map(GivenSecret.of, configuration.secrets))
        if isinstance(configuration, ContainerConfiguration):
            check_images(
                context.agent, configuration.registry, is_built=not (configuration.image or ready_image(source))
            )
    except Refused:
        there = await context.target.status(await context.target.place(attempt_name(context.run, context.attempt)))
        if there is None or there.state == "created":
            raise


async def prepare(context: LaunchContext, resolved: Resolved, say: Say) -> Prepared:
    """Make what the attempt runs in, or find it made.

    Raises:
        BuildError: a build step failed; the log is in the run's.
        RunCancelled: the run was cancelled meanwhile.
        NotBuiltInTime, NotStartedInTime: a time limit of the queue is over.
    """
    if isinstance(resolved.configuration, ContainerConfiguration):
        return await unless_cancelled(context, _prepare_image(context, resolved, resolved.configuration, say))
    limit = resolved.configuration.build_timeout
    building = within(limit, _prepare_folder(context, resolved, say), _not_built("environment", limit))
    return await unless_cancelled(context, building)


def _not_built(what: str, limit: float | None) -> LaunchError:
    do = "Raise the queue's build_timeout; the run's log says how far it came"
    return NotBuiltInTime(f"The {what} was not built within its time limit of {limit or 0:g} s", do=do)


def not_there(what: str, limit: float | None, why: str = "") -> LaunchError:
    """The error of a start deadline that passed while something was fetched or made."""
    detail = f": {why}" if why else ""
    return NotStartedInTime(f"Not started: {what} was not there within the start deadline of {limit or 0:g} s{detail}")


async def within(seconds: float | None, work: Coroutine[object, object, T], error: LaunchError) -> T:
    """Await `work`, but end it after some seconds (None: never) and raise `error`."""
    working = asyncio.ensure_future(work)
    async with ending_with(working):
        done, _ = await asyncio.wait({working}, timeout=seconds)
    if not done:
        raise error
    return working.result()


async def _prepare_image(
    context: LaunchContext, resolved: Resolved, configuration: ContainerConfiguration, say: Say
) -> Prepared:
    ready = configuration.image or ready_image(resolved.version.job.source)
    if not isinstance(configuration, DockerConfiguration):
        _check_reachable(ready, configuration.registry or context.agent.registry)
        if ready:
            return Prepared(image=ready)
    access = await with_registry(context.docker, configuration.registry or context.agent.registry)
    builder = _builder(context, access, configuration)
    if ready:
        say(f"Ready image {ready}")
        limit, asked = configuration.start_deadline, time.monotonic()
        await within(limit, bring_ready(ready, builder, access), not_there(f"the image {ready}", limit))
        return Prepared(image=ready, waited_s=time.monotonic() - asked)
    what = await plan_image(
        resolved.version, context.store, context.settings, builder, base_image=configuration.base_image
    )
    limit = configuration.build_timeout
    building = build_planned(what, resolved.version, context.store, builder, say)
    try:
        image = await within(limit, building, _not_built("image", limit))
    except BuildError as error:
        if tells_ill_disk(error):
            raise Unavailable(error.what, do="Make room where images are built") from error
        raise
    return Prepared(image=image, workdir=what.workdir or None, root=what.root or None)


def _builder(context: LaunchContext, access: DockerAccess, configuration: ContainerConfiguration) -> Builder:
    """The queue's cluster, if the agent's file says so; else this machine's Docker Engine."""
    from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration

    options = context.agent.kubernetes_builder if context.agent.builder == "kubernetes" else None
    if options is None or not isinstance(configuration, KubernetesConfiguration):
        return docker_builder(context.settings, access)
    from launch_jobs.cluster import ClusterAccess

    cluster = context.cluster.access or ClusterAccess()
    return cluster_builder(context.settings, access, cluster, configuration.namespace, options)


def _check_reachable(ready: str | None, registry: str | None) -> None:
    """Judge whether the nodes of a cluster can have an image.

    Raises:
        BadInput: it is, or would be, on this machine's Docker Engine alone.
    """
    if ready is None and registry is None:
        raise BadInput(
            "The job's image would be built on this machine, where no node of the cluster can pull it",
            do="Name a Registry block: `launch queue create … --registry BLOCK`, or `registry` in agent.toml",
        )
    if ready and ready.startswith("sha256:"):
        raise BadInput(
            f"The image {ready} is on one Docker Engine only",
            do="Push it to a registry, and make the job of what is there: `launch job create image`",
        )


async def _prepare_folder(context: LaunchContext, resolved: Resolved, say: Say) -> Prepared:
    from launch_jobs.build.venv import prepare_environment

    job = resolved.version.job
    if isinstance(job.source, ImageSource):
        raise BadInput(f"{resolved.version.label} is an image", do="Submit it to a docker queue")
    environment = ""
    if job.environment.python:
        fetch = partial(fetch_wheels, job.environment.wheels, context.store)
        making = partial(prepare_environment, job.environment, context.settings, say, fetch=fetch)
        environment = str(await on_disk(making, say))
    root = context.settings.home / "sources" / attempt_name(context.run, context.attempt)
    if not root.exists():
        await on_disk(lambda: asyncio.to_thread(_checkout, context, resolved.version, root), say)
    return Prepared(image=environment, workdir=str(root / job.entrypoint.directory), root=str(root))


def _checkout(context: LaunchContext, version: JobVersion, into: Path) -> None:
    """Check out beside, then rename: a folder of that name is always whole."""
    from launch_jobs.capture.source import checkout

    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".checkout-") as folder:
        tree = Path(folder) / "tree"
        checkout(version, context.store, tree)
        tree.replace(into)


async def unless_cancelled(context: LaunchContext, work: Coroutine[object, object, T]) -> T:
    """Await `work`, but end it (and clean up after it) when the run is cancelled."""
    working = asyncio.ensure_future(work)
    asked = asyncio.ensure_future(context.cancelled.wait())
    async with ending_with(working, asked):
        done, _ = await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
    if working in done:
        return working.result()
    raise RunCancelled("Cancelled before the program started")


def render(context: LaunchContext, resolved: Resolved, prepared: Prepared, place: Place) -> RunSpec:
    """Everything the target is asked for, at this place. Pure.

    Raises:
        Refused, BadInput: a value that a submitter may not set.
    """
    job, overrides = resolved.version.job, resolved.overrides
    configuration = resolved.configuration
    attempt = Attempt(
        run_id=context.run,
        number=context.attempt,
        job=resolved.version.reference,
        queue=context.queue,
        image=prepared.image,
        command=configuration.command or _command(job, overrides),
        directory=prepared.workdir,
        root=prepared.root,
        env=_import_path(job.environment, prepared.root) | overrides.env,
        parameters=overrides.parameters,
        collect=resolved.written,
        datasets=tuple(_staged(context, configuration, dataset) for dataset in resolved.datasets),
        files=changed_files(job.inputs, overrides.parameters),
    )
    if isinstance(configuration, DockerConfiguration):
        return render_docker(attempt, configuration)
    if context.kind == "kubernetes":
        from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
        from launch_jobs.targets.kubernetes.kinds import load_kinds
        from launch_jobs.targets.render import render_kubernetes

        if isinstance(configuration, KubernetesConfiguration):
            return render_kubernetes(attempt, configuration, load_kinds(context.agent.kinds))
    return render_process(attempt, configuration, place.name)


def _staged(
    context: LaunchContext, configuration: ContainerConfiguration | ProcessConfiguration, dataset: AnyDataset
) -> StagedDataset:
    folder, mounted = staging_folder(context) / dataset.name, is_mounted(configuration, dataset)
    if isinstance(dataset, CarriedDataset) and mounted:
        folder = cached_folder(dataset_cache(context.settings.home), dataset.digest)
    return StagedDataset(dataset.name, str(folder), dataset.file, dataset.place, mounted)


def is_mounted(configuration: ContainerConfiguration | ProcessConfiguration, dataset: AnyDataset) -> bool:
    """Whether a dataset is mounted from the agent's cache: the queue says so, and its content has a name there."""
    wanted = isinstance(configuration, DockerConfiguration) and configuration.dataset_delivery == "mount"
    return wanted and isinstance(dataset, CarriedDataset)


def staging_folder(context: LaunchContext) -> Path:
    """Where an attempt's datasets lie until its target has them."""
    return context.settings.home / "datasets" / attempt_name(context.run, context.attempt)


def _command(job: Job, overrides: Overrides) -> tuple[str, ...]:
    if overrides.entrypoint:
        return (*overrides.entrypoint, *overrides.args)
    rendered = render_arguments(job.inputs, overrides.parameters)
    return (*job.entrypoint.argv, *with_further(rendered, overrides.args))


def _import_path(environment: Environment, root: str | None) -> dict[str, str]:
    """Where Python finds the packages that live in the source tree (a process's; an image has it inside)."""
    paths = [str(PurePosixPath(root) / path) for path in source_paths(environment)] if root else []
    return {"PYTHONPATH": ":".join(paths)} if paths else {}
