"""Built images in a registry: pushed when they are new, pulled instead of built, run by the digest it gave them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from launch_jobs.build import BaseImage, Builder, BuildPlan, Log
from launch_jobs.build.docker import lock_of
from launch_jobs.build.plan import LABEL
from launch_jobs.engine import EngineConflict, Login, errors, opened
from launch_jobs.engine_images import ask_registry, inspect_image, pull_image, push_image
from launch_jobs.errors import BadInput, NotFound, Refused, Unavailable
from launch_jobs.names import Digest, ImageRef

T = TypeVar("T")
GoOn = Callable[[], bool]

_PATIENCE_S = 60.0
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
_confirmed: set[str] = set()
"""References that a registry had when this process last asked for them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One image of a plan.

    Attributes:
        tag: on the engine.
        kind: its repository's last part, `job` or `env`.
        digest: of all its inputs; its tag in the registry.
        label: the image's label that holds this digest.
    """

    tag: str
    kind: str
    digest: Digest
    label: str


def job_image(plan: BuildPlan) -> Wanted:
    """The plan's job image."""
    return Wanted(plan.tag, "job", plan.digest, f"{LABEL}.image-digest")


def environment_image(plan: BuildPlan) -> Wanted | None:
    """The image below it, which jobs with the same environment share; None if there is none."""
    if not plan.environment_dockerfile:
        return None
    return Wanted(plan.environment_tag, "env", plan.environment_digest, f"{LABEL}.environment-digest")


@dataclass(frozen=True)
class Registry:
    """A place in a registry, with the account to use there.

    Attributes:
        address: host and port.
        namespace: path of our repositories there.
        login: None: the docker configuration's.
        base_url: of the engine that pulls and pushes.
        patience_s: how long it may be away before a run ends.
    """

    address: str
    namespace: str = ""
    login: Login | None = None
    base_url: str | None = None
    patience_s: float = _PATIENCE_S

    def __post_init__(self) -> None:
        """Refuse an address that an engine would take for a path on Docker Hub, or for nothing at all."""
        mend = "Mend the Registry block: the address is host[:port], the namespace a path in lower case"
        if self.address != "localhost" and not set(self.address) & {".", ":"}:
            raise BadInput(f"{self.address[:80]!r} is no registry address", do=mend)
        try:
            self.reference("job", "latest")
        except BadInput as error:
            raise BadInput(f"{f'{self.address}/{self.namespace}'[:80]!r} can hold no image", do=mend) from error

    def reference(self, kind: str, tag: str) -> ImageRef:
        """Where an image is kept."""
        return ImageRef.parse("/".join(filter(None, (self.address, self.namespace.strip("/"), f"{kind}:{tag}"))))

    def holds(self, reference: str) -> bool:
        """Whether an image is of this registry, whatever its path."""
        return reference.startswith(f"{self.address}/")

    async def find(self, wanted: Wanted, log: Log) -> str | None:
        """The image's `repository@digest`, pulled if need be; None if the registry does not have it.

        An image that this engine has pushed or pulled before is known by the digest that it had then. It is asked for
        once a process, and while the registry is away it can be run all the same.

        Raises:
            Refused: the account may not, or the registry gives something else for it.
            Unavailable: it does not answer for too long.
        """
        where = self._where(wanted)
        known = await asyncio.to_thread(self._known, wanted)
        if known and (str(known) in _confirmed or await self._still_there(known, log)):
            _confirmed.add(str(known))
            return str(known)
        told = await self._patiently(lambda _: self._ask(where), log)
        return await self._take(wanted, told, log) if told else None

    async def publish(self, wanted: Wanted, log: Log) -> str:
        """Push an image that the engine has; its `repository@digest`.

        Raises:
            Refused: the account may not, or the registry has something else under the tag afterwards.
            Unavailable: it does not answer for too long; the built image stays, and the next try pushes it.
        """
        where = self._where(wanted)
        log(f"Pushing {where}")
        pushed = await self._patiently(lambda go_on: self._push(wanted, go_on), log)
        told = await self._patiently(lambda _: self._ask(where), log)
        if told != pushed:
            return await self._of_another(wanted, pushed, told, log)
        found = str(_by_digest(where, pushed))
        log(f"Pushed {found}")
        _confirmed.add(found)
        return found

    async def fetch(self, reference: str, log: Log) -> None:
        """Pull a ready image of this registry with its account, unless the engine has it or the registry does not."""
        with suppress(NotFound):
            await self._patiently(lambda go_on: self._pull(ImageRef.parse(reference), go_on), log)

    async def _still_there(self, known: ImageRef, log: Log) -> bool:
        try:
            return await asyncio.to_thread(self._ask, known) is not None
        except Unavailable as error:
            log(f"{error.what}; {known} is here")
            return True

    async def _of_another(self, wanted: Wanted, pushed: Digest, told: Digest | None, log: Log) -> str:
        """Another agent pushed the same plan meanwhile, if what it pushed bears a look; else the registry lies."""
        try:
            if told:
                return await self._take(wanted, told, log)
        except (BadInput, Refused) as error:
            raise _lie(self._where(wanted), pushed, told) from error
        raise _lie(self._where(wanted), pushed, told)

    async def _take(self, wanted: Wanted, digest: Digest, log: Log) -> str:
        """Pull what the registry has by digest, look whether it is the plan's image, and name it so here."""
        found = _by_digest(self._where(wanted), digest)
        log(f"Pulling {found}")
        try:
            await self._patiently(lambda go_on: self._pull(found, go_on), log)
        except NotFound as error:
            raise Refused(f"The registry has {self._where(wanted)} as {digest}, but not {found}") from error
        await asyncio.to_thread(self._adopt, wanted, found)
        _confirmed.add(str(found))
        return str(found)

    async def _patiently(self, call: Callable[[GoOn], T], log: Log) -> T:
        """Call in a thread, again while the registry is away, a bounded while; a cancel ends the call at its next step.

        Raises:
            Unavailable: it was away for too long.
        """
        stop = threading.Event()
        end = time.monotonic() + self.patience_s
        pauses = iter(_PAUSES_S)
        try:
            while True:
                try:
                    return await asyncio.to_thread(call, lambda: not stop.is_set())
                except Unavailable as error:
                    pause = next(pauses, _PAUSES_S[-1])
                    if time.monotonic() + pause > end:
                        raise
                    log(f"{error.what}; trying again in {pause:.0f} s")
                await asyncio.sleep(pause)
        finally:
            stop.set()

    def _where(self, wanted: Wanted) -> ImageRef:
        return self.reference(wanted.kind, wanted.digest.removeprefix("sha256:"))

    def _known(self, wanted: Wanted) -> ImageRef | None:
        where = self._where(wanted)
        with opened(self.base_url) as engine:
            image = inspect_image(engine, wanted.tag)
        digest = image.digest_in(where.familiar) if image else None
        return _by_digest(where, digest) if digest else None

    def _ask(self, reference: ImageRef) -> Digest | None:
        with opened(self.base_url) as engine:
            found = ask_registry(engine, reference, self._auth)
        return found.descriptor.digest if found else None

    def _pull(self, reference: ImageRef, go_on: GoOn) -> None:
        with opened(self.base_url) as engine:
            if not inspect_image(engine, str(reference)):
                pull_image(engine, reference, self._auth, go_on)

    def _push(self, wanted: Wanted, go_on: GoOn) -> Digest:
        where = self._where(wanted)
        with opened(self.base_url) as engine:
            engine.tag(wanted.tag, where.familiar, where.tag)
            return push_image(engine, where, self._auth, go_on)

    def _adopt(self, wanted: Wanted, found: ImageRef) -> None:
        with opened(self.base_url) as engine:
            image = inspect_image(engine, str(found))
            told = image.labels.get(wanted.label) if image else None
            if told != wanted.digest:
                raise Refused(
                    f"The registry has another image as {self._where(wanted)}: {found.digest}, of {told or 'no plan'}",
                    do="Remove that tag from the registry, and ask who may push there",
                )
            before = inspect_image(engine, wanted.tag)
            if image and before and before.id != image.id:
                # Our own build of the plan gives way; without its name nobody would ever remove it.
                with suppress(NotFound, EngineConflict), errors():
                    engine.remove_image(wanted.tag)
            engine.tag(str(found), *wanted.tag.split(":"))

    @property
    def _auth(self) -> dict[str, str] | None:
        return self.login.auth_config if self.login else None


class RegistryBuilder:
    """A `Builder` whose images are kept in a registry: what it finds or builds is a `repository@digest` there."""

    def __init__(self, builder: Builder, registry: Registry) -> None:
        self._builder, self._registry = builder, registry

    async def resolve_base(self, reference: str) -> BaseImage:
        """See `Builder.resolve_base`. What is in our registry is pulled with its account."""
        if self._registry.holds(reference):
            await self._registry.fetch(reference, lambda _: None)
        return await self._builder.resolve_base(reference)

    async def find(self, plan: BuildPlan, log: Log) -> str | None:
        """See `Builder.find`. An image that only the registry has is pulled."""
        return await self._registry.find(job_image(plan), log)

    async def build(self, plan: BuildPlan, source: Path, log: Log) -> str:
        """See `Builder.build`. The environment image, the slow one to build, is shared through the registry too."""
        async with lock_of(f"{self._registry.address}/{self._registry.namespace}/{plan.tag}"):
            found = await self.find(plan, log)
            if found:
                return found
            environment = environment_image(plan)
            is_new = environment is not None and not await self._registry.find(environment, log)
            await self._builder.build(plan, source, log)
            if environment and is_new:
                await self._registry.publish(environment, log)
            return await self._registry.publish(job_image(plan), log)


def _by_digest(reference: ImageRef, digest: Digest) -> ImageRef:
    return ImageRef(reference.repository, "", digest)


def _lie(where: ImageRef, pushed: Digest, told: Digest | None) -> Refused:
    return Refused(
        f"The registry lies about {where}: the engine pushed {pushed}, the registry then has {told or 'nothing'}",
        do="Nothing was run; ask who runs the registry",
    )
