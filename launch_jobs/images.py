"""From a job version to its image: plan it, find it built, or check the source out and build it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.build import Builder, BuildPlan
from launch_jobs.build.accelerator import accelerator_notes
from launch_jobs.build.options import build_options
from launch_jobs.build.plan import base_reference, plan, platform_of
from launch_jobs.build.resolution import Resolution, Resolver, is_foreign, kept_resolution
from launch_jobs.errors import BadInput
from launch_jobs.job import Environment, ImageSource, JobVersion, Source
from launch_jobs.names import Digest, ImageRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from launch_jobs.build.kubernetes_options import ClusterBuilder
    from launch_jobs.cluster import ClusterAccess
    from launch_jobs.docker_access import DockerAccess
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.jobs import JobStore


def docker_builder(settings: LaunchSettings, access: DockerAccess) -> Builder:
    """The builder of a Docker Engine, or of the registry that its images go to."""
    from launch_jobs.build.docker import DockerBuilder
    from launch_jobs.build.registry import RegistryBuilder

    builder = DockerBuilder(access.base_url, network=settings.build_network, login=access.login)
    return RegistryBuilder(builder, access.registry) if access.registry else builder


def cluster_builder(
    settings: LaunchSettings, access: DockerAccess, cluster: ClusterAccess, namespace: str, options: ClusterBuilder
) -> Builder:
    """The builder in the cluster of a queue; what it builds goes to the registry.

    Raises:
        BadInput: there is no registry, or the certificates cannot be read.
    """
    from launch_jobs.build.kubernetes import KubernetesBuilder
    from launch_jobs.build.kubernetes_manifest import Trust

    if access.registry is None:
        raise BadInput("Images that are built in the cluster need a registry", do="Name a Registry block in the queue")
    logins = tuple(login for login in (access.registry.login, access.login) if login)
    trust = Trust(logins, build_options(settings).ca_bundle_pem)
    return KubernetesBuilder(cluster, namespace, options, access.registry, trust=trust)


def ready_image(source: Source) -> str | None:
    """What to run for an image source, pinned as far as its capture could; None for other sources."""
    if not isinstance(source, ImageSource):
        return None
    if source.digest:
        return f"{ImageRef.parse(source.reference).repository}@{source.digest}"
    return source.image_id or source.reference


async def bring_ready(image: str, builder: Builder, access: DockerAccess) -> None:
    """See that the engine has a ready image, pulling it if need be.

    Raises:
        BadInput: it is not there, and cannot be pulled.
        Unavailable: the engine does not answer.
    """
    if not image.startswith("sha256:"):
        await builder.resolve_base(image)
    elif not await asyncio.to_thread(_is_here, image, access.base_url):
        raise BadInput(
            f"The image {image} is not on this Docker Engine, and an image id names it on its own engine only",
            do="Push it to a registry, and make the job of what is there: `launch job create image`",
        )


def _is_here(image: str, base_url: str | None) -> bool:
    from launch_jobs.engine import opened
    from launch_jobs.engine_images import inspect_image

    with opened(base_url) as engine:
        return inspect_image(engine, image) is not None


@asynccontextmanager
async def checked_out(version: JobVersion, store: JobStore) -> AsyncGenerator[Path]:
    """A temporary folder that holds a version's source tree."""
    from launch_jobs.capture.source import checkout

    with tempfile.TemporaryDirectory(prefix="launch-source-") as folder:
        tree = Path(folder) / "source"
        await asyncio.to_thread(checkout, version, store, tree)
        yield tree


async def plan_image(
    version: JobVersion,
    store: JobStore,
    settings: LaunchSettings,
    builder: Builder,
    *,
    base_image: str | None = None,
) -> BuildPlan:
    """What would be built for a job version.

    Args:
        version: a job with a source tree.
        store: has its source, which is read where the job brings its own Dockerfile.
        settings: base image, index, certificates.
        builder: says what the base image is now.
        base_image: the queue's, before the settings'.

    Raises:
        BadInput: the job is a ready image, its base image does not exist, or it carries what cannot run there.
        BuildError: its packages cannot be resolved for the engine's platform.
        Unavailable: the engine does not answer.
    """
    job = version.job
    if isinstance(job.source, ImageSource):
        raise BadInput(f"{version.label} is a ready image ({job.source.reference})", do="There is nothing to build")
    options = build_options(settings, base_image=base_image)
    own = None
    if job.dockerfile:
        async with checked_out(version, store) as tree:
            own = _own_dockerfile(tree, job.dockerfile)
    base = await builder.resolve_base(base_reference(job, options, own_dockerfile=own))
    if job.dockerfile:
        return plan(job, base, options, own_dockerfile=own)
    found = await _for_platform(job.environment, platform_of(job, base, options), settings)
    return plan(job, base, options, environment=found.environment).model_copy(update={"notes": found.changes})


async def _for_platform(environment: Environment, platform: str, settings: LaunchSettings) -> Resolution:
    """A job's environment, resolved again if it was captured on another platform, and what is to be said of it."""
    if not is_foreign(environment, platform):
        return Resolution(environment=environment, changes=accelerator_notes(environment))
    from launch_jobs.build.venv import uv_command, uv_environment

    resolver = Resolver(uv_command(), uv_environment(os.environ, settings), settings.package_index)
    return await kept_resolution(environment, platform, resolver, settings.home / "resolutions")


def _own_dockerfile(tree: Path, path: str) -> str:
    file = (tree / path).resolve()
    if not file.is_relative_to(tree.resolve()) or not file.is_file():
        raise BadInput(f"The job's Dockerfile {path!r} is not in its source tree", do="Capture the job with it")
    try:
        return file.read_text()
    except UnicodeDecodeError as error:
        raise BadInput(f"The job's Dockerfile {path!r} is not UTF-8 text", do="Mend it and capture again") from error


async def build_planned(
    what: BuildPlan, version: JobVersion, store: JobStore, builder: Builder, say: Callable[[str], None]
) -> str:
    """What to run for a planned image (its id, or its reference in a registry): found, or built now.

    Raises:
        BuildError: a step failed.
        Refused: the registry refuses our account, or gives something else than was pushed.
        Unavailable: engine or registry does not answer.
    """
    found = await builder.find(what, say)
    if found is not None:
        say(f"Image {what.tag} is built already")
        return found
    say(f"Building image {what.tag}")
    for note in what.notes:
        say(note)
    async with checked_out(version, store) as tree:
        wheels = await asyncio.to_thread(fetch_wheels, what.carried, store, tree.with_name("wheels"))
        return await builder.build(what.model_copy(update={"wheels": wheels}), tree, say)


def fetch_wheels(carried: Mapping[str, Digest], store: JobStore, folder: Path) -> Path:
    """The wheels that a job carries, as files of a new folder."""
    folder.mkdir()
    for path, digest in carried.items():
        store.get_blob(digest, folder / Path(path).name)
    return folder
