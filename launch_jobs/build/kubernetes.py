"""Builds images in a Kubernetes cluster, a Job each, and keeps them in a registry: no Docker Engine has a part."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from launch_jobs.build import BaseImage, BuildPlan, Log
from launch_jobs.build.context import write_context
from launch_jobs.build.docker import lock_of
from launch_jobs.build.kubernetes_job import ClusterBuild
from launch_jobs.build.kubernetes_manifest import ImageBuild, Trust
from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.build.kubernetes_pod import BuildFiles
from launch_jobs.build.oci_registry import OciRegistry, RemoteImage
from launch_jobs.build.registry import Registry, Wanted, environment_image, job_image
from launch_jobs.cluster import Cluster, ClusterAccess
from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.names import Digest, ImageRef, digest_of

_PATIENCE_S = 60.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
Files = Mapping[str, str | Path]


class KubernetesBuilder:
    """A `Builder` in a cluster. Holds no connection between calls."""

    def __init__(
        self, access: ClusterAccess | None, namespace: str, options: ClusterBuilder, registry: Registry, *, trust: Trust
    ) -> None:
        """Choose where.

        Args:
            access: to the cluster.
            namespace: of the queue; builds run there unless the options name another one.
            options: the operator's.
            registry: where images are kept.
            trust: accounts and certificates for it, and for the registries of base images.
        """
        self._access, self._options, self._registry, self._trust = access, options, registry, trust
        self._namespace = options.namespace or namespace
        self._asks = OciRegistry(trust.logins, plain_http=options.plain_http, certificates=trust.certificates)

    async def resolve_base(self, reference: str) -> BaseImage:
        """See `Builder.resolve_base`. The registry is asked what the name means now."""
        if reference == "scratch":
            return BaseImage(reference=reference, identity=digest_of(reference), platform=self._options.platform)
        parsed = ImageRef.parse(reference)
        found = await self._look(parsed, lambda _: None)
        if found is None:
            raise BadInput(
                f"base image {parsed} is not in its registry",
                do="Name another one with LAUNCH_JOBS_BASE_IMAGE, or for the queue or the job",
            )
        return BaseImage(reference=str(parsed), identity=found.digest, platform=found.platform)

    async def find(self, plan: BuildPlan, log: Log) -> str | None:
        """See `Builder.find`."""
        return await self._find(job_image(plan), log)

    async def build(self, plan: BuildPlan, source: Path, log: Log) -> str:
        """See `Builder.build`. The environment image is a build of its own, which jobs and agents share."""
        base, base_name = _base_of(plan), plan.base.reference
        files = plan.context_files
        tree = (source, "source" if plan.root else "")
        if environment := environment_image(plan):
            found = await self._ensure(environment, (base, base_name), (plan.environment_dockerfile, files, None), log)
            base, base_name, files = ImageRef.parse(found), plan.environment_tag, {}
        return await self._ensure(job_image(plan), (base, base_name), (plan.dockerfile, files, tree), log)

    async def _ensure(
        self,
        wanted: Wanted,
        base: tuple[ImageRef | None, str],
        context: tuple[str, Files, tuple[Path, str] | None],
        log: Log,
    ) -> str:
        """An image's `repository@digest`, found or built. Two runs of this agent build it once."""
        target = self._where(wanted)
        async with lock_of(str(target)):
            if found := await self._find(wanted, log):
                return found
            log(f"Building {wanted.tag}")
            pushed = await self._built(ImageBuild(wanted.tag, target, *base), context, log)
            found = await self._find(wanted, log)
        if found is None or (pushed and not found.endswith(pushed)):
            raise Refused(
                f"The registry lies about {target}: {pushed or 'it'} was pushed, it then has {found or 'nothing'}",
                do="Nothing was run; ask who runs the registry",
            )
        log(f"Pushed {found}")
        return found

    async def _built(
        self, build: ImageBuild, context: tuple[str, Files, tuple[Path, str] | None], log: Log
    ) -> Digest | None:
        cluster = Cluster(self._access)
        try:
            with tempfile.TemporaryFile() as file:
                await asyncio.to_thread(write_context, file, *context)
                work = ClusterBuild(cluster, self._namespace, self._options, trust=self._trust, log=log)
                return await work.run(build, await asyncio.to_thread(BuildFiles, file))
        finally:
            await cluster.close()

    async def _find(self, wanted: Wanted, log: Log) -> str | None:
        where = self._where(wanted)
        found = await self._look(where, log)
        if found is None:
            return None
        told = found.labels.get(wanted.label)
        if told != wanted.digest:
            raise Refused(
                f"The registry has another image as {where}: {found.digest}, of {told or 'no plan'}",
                do="Remove that tag from the registry, and ask who may push there",
            )
        return f"{where.repository}@{found.digest}"

    async def _look(self, reference: ImageRef, log: Log) -> RemoteImage | None:
        """What a registry has; while it is away it is asked again, a bounded while."""
        clock = asyncio.get_running_loop().time
        until, pauses = clock() + _PATIENCE_S, iter(_PAUSES_S)
        while True:
            try:
                return await self._asks.look(reference, self._options.platform)
            except Unavailable as error:
                pause = next(pauses, _PAUSES_S[-1])
                if clock() + pause > until:
                    raise
                log(f"{error.what}; trying again in {pause:.0f} s")
            await asyncio.sleep(pause)

    def _where(self, wanted: Wanted) -> ImageRef:
        return self._registry.reference(wanted.kind, wanted.digest.removeprefix("sha256:"))


def _base_of(plan: BuildPlan) -> ImageRef | None:
    """The very base image that was planned with, whatever its name means by now."""
    if plan.base.reference == "scratch":
        return None
    return ImageRef(_full(ImageRef.parse(plan.base.reference).repository), "", plan.base.identity)


def _full(repository: str) -> str:
    """With its host: no tool is left to guess it."""
    host, slash, _ = repository.partition("/")
    if slash and (host == "localhost" or set(host) & {".", ":"}):
        return repository
    return f"docker.io/{repository if slash else f'library/{repository}'}"
