"""Builds images on a Docker Engine: with BuildKit through the docker command where there is one, else without."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path
from shutil import which
from weakref import WeakValueDictionary

from launch_jobs.build import BaseImage, BuildPlan, Log
from launch_jobs.build.command import run
from launch_jobs.build.context import DOCKERFILE, write_context
from launch_jobs.build.dockerfile import without_buildkit
from launch_jobs.engine import EngineConflict, EngineRefused, Login, docker_environment, opened
from launch_jobs.engine_images import EngineImage, checked, inspect_image
from launch_jobs.errors import BadInput, BuildError, NotFound
from launch_jobs.names import ImageRef, digest_of

_STEP = re.compile(r"^(?: > \[[^]]*\] (?P<buildkit>.+?):?|Step \d+/\d+ : (?P<classic>.+))$")
_INTERMEDIATE = re.compile(r"^ ---> ([0-9a-f]{12,64})$")
_NOISE = re.compile(r"^#\d+ sha256:[0-9a-f]{64}$")
_TRIES, _PAUSE_S = 50, 0.1
_locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()
_clients: dict[tuple[str, str | None], str | None] = {}


class _Watch:
    """Passes lines on, and remembers from them what a failure needs."""

    def __init__(self, log: Log) -> None:
        self.log, self.step, self.intermediate = log, "", ""

    def __call__(self, line: str) -> None:
        if match := _STEP.match(line):
            self.step = (match["buildkit"] or match["classic"])[:120]
        if match := _INTERMEDIATE.match(line):
            self.intermediate = match[1]
        if not _NOISE.match(line):
            self.log(line)


class DockerBuilder:
    """A `Builder` on one Docker Engine. Holds no connection between calls."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        network: str | None = None,
        login: Login | None = None,
        buildkit: bool = True,
    ) -> None:
        """Choose an engine.

        Args:
            base_url: its address; None: as the docker command finds it.
            network: network mode of builds; None: the engine's default.
            login: an account to pull base images with, besides the docker configuration's.
            buildkit: whether to use BuildKit where the docker command has it.
        """
        self._base_url, self._network, self._login, self._buildkit = base_url, network, login, buildkit

    async def resolve_base(self, reference: str) -> BaseImage:
        """See `Builder.resolve_base`. An image that the engine has is taken as it is, without asking a registry."""
        if reference == "scratch":
            return BaseImage(reference=reference, identity=digest_of(reference))
        return await asyncio.to_thread(self._resolve, ImageRef.parse(reference))

    async def find(self, plan: BuildPlan, log: Log) -> str | None:
        """See `Builder.find`."""
        del log
        return await asyncio.to_thread(self._find, plan.tag)

    async def build(self, plan: BuildPlan, source: Path, log: Log) -> str:
        """See `Builder.build`. Two callers of one plan in one event loop build once."""
        if plan.environment_dockerfile:
            await self._ensure(plan, plan.environment_tag, None, log)
        return await self._ensure(plan, plan.tag, source, log)

    async def _ensure(self, plan: BuildPlan, tag: str, source: Path | None, log: Log) -> str:
        async with lock_of(tag):
            found = await asyncio.to_thread(self._find, tag)
            if found:
                return found
            log(f"Building {tag}")
            await self._check_base(plan)
            await self._make(plan, tag, source, log)
            try:
                await self._check_base(plan)
            except BuildError:
                await asyncio.to_thread(self._remove, tag)
                raise
            found = await asyncio.to_thread(self._find, tag)
        if not found:
            raise BuildError(f"image {tag} vanished right after it was built", do="Try again")
        return found

    async def _make(self, plan: BuildPlan, tag: str, source: Path | None, log: Log) -> None:
        """Build one image. The context is a file without a name: however we end, nothing of it stays."""
        client = await buildkit_client(self._base_url) if self._buildkit else None
        text = plan.environment_dockerfile if source is None else plan.dockerfile
        files = plan.context_files if source is None or not plan.environment_dockerfile else {}
        tree = (source, "source" if plan.root else "") if source else None
        with tempfile.TemporaryFile() as context:
            dockerfile = text if client else without_buildkit(text)
            await asyncio.to_thread(write_context, context, dockerfile, files, tree)
            watch = _Watch(log)
            try:
                ended = await run(self._command(client, tag), log=watch, env=self._environment(), stdin=context)
            except asyncio.CancelledError:
                await self._tidy(watch, tries=_TRIES)
                raise
        if ended.code:
            await self._tidy(watch)
            raise BuildError(f"image {tag} could not be built, at: {watch.step or 'its start'}\n{ended.tail}")

    async def _tidy(self, watch: _Watch, *, tries: int = 1) -> None:
        """The classic builder leaves the last finished step of a broken build as an image without a name.

        Right after a cancel the engine still has the step's container; it goes away by itself.
        """
        while watch.intermediate and tries and not await asyncio.to_thread(self._remove, watch.intermediate):
            tries -= 1
            await asyncio.sleep(_PAUSE_S)

    def _command(self, client: str | None, tag: str) -> list[str]:
        if not client:
            return [sys.executable, "-m", "launch_jobs.build.classic", tag, DOCKERFILE, self._network or ""]
        network = ["--network", self._network] if self._network else []
        return [client, "build", "--progress=plain", "--tag", tag, "--file", DOCKERFILE, *network, "-"]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_BUILDKIT": "1", **docker_environment(self._base_url)}

    async def _check_base(self, plan: BuildPlan) -> None:
        now = await self.resolve_base(plan.base.reference)
        if now.identity != plan.base.identity:
            raise BuildError(
                f"base image {now.reference} moved from {plan.base.identity} to {now.identity} since it was resolved",
                do="Build again",
            )

    def _resolve(self, reference: ImageRef) -> BaseImage:
        with opened(self._base_url) as engine:
            image = inspect_image(engine, str(reference))
        image = image or self._pull(reference)
        platform = f"{image.system}/{image.architecture}" if image.architecture else None
        return BaseImage(reference=str(reference), identity=_identity(image, reference), platform=platform)

    def _pull(self, reference: ImageRef) -> EngineImage:
        try:
            with opened(self._base_url, login=self._login) as engine:
                tag = reference.digest or reference.tag
                checked(engine.pull(reference.familiar, tag, stream=True, decode=True), lambda: True)
                image = inspect_image(engine, str(reference))
        except (EngineRefused, NotFound) as error:
            raise BadInput(
                f"base image {reference} is not on this Docker Engine, and its registry says: {error.what}",
                do="Name another one with LAUNCH_JOBS_BASE_IMAGE, or for the queue or the job",
            ) from error
        if not image:
            raise BadInput(f"base image {reference} was pulled, but is not there for this engine's platform")
        return image

    def _find(self, tag: str) -> str | None:
        with opened(self._base_url) as engine:
            image = inspect_image(engine, tag)
        return image.id if image else None

    def _remove(self, image: str) -> bool:
        """Remove an image; False if something uses it, such as a container or another image."""
        try:
            with opened(self._base_url) as engine:
                engine.remove_image(image)
        except EngineConflict:
            return False
        except NotFound:
            pass
        return True


async def buildkit_client(base_url: str | None = None) -> str | None:
    """The first docker command on PATH that can build with BuildKit here (some lack the plugin), or None."""
    key = (os.environ.get("PATH", ""), base_url)
    if key not in _clients:
        _clients[key] = await _probe(*key)
    return _clients[key]


async def _probe(path: str, base_url: str | None) -> str | None:
    env = {**os.environ, "DOCKER_BUILDKIT": "1", **docker_environment(base_url)}
    for client in dict.fromkeys(found for folder in path.split(os.pathsep) if (found := which("docker", path=folder))):
        lines: list[str] = []
        ended = await run([client, "build", "--help"], log=lines.append, env=env)
        if ended.code == 0 and any("--ssh" in line for line in lines):
            return client
    return None


def lock_of(tag: str) -> asyncio.Lock:
    """One lock a tag in each event loop: what two runs want at once is made once."""
    key = (id(asyncio.get_running_loop()), tag)
    lock = _locks.get(key) or asyncio.Lock()
    return _locks.setdefault(key, lock)


def _identity(image: EngineImage, reference: ImageRef) -> str:
    """The registry's digest of this repository's image, else the image id: a local image has no digest."""
    return image.digest_in(reference.familiar) or image.id
