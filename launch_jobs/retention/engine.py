"""The shelf of images on this machine's Docker Engine: those that we built, by their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from launch_jobs.build.plan import LABEL, OCI
from launch_jobs.engine import Engine, EngineConflict, errors, opened
from launch_jobs.errors import NotFound, Unavailable
from launch_jobs.retention import Item, Kind

if TYPE_CHECKING:
    from launch_jobs.retention.needs import Needs

_JOB, _IMAGE, _ENVIRONMENT = f"{LABEL}.job-digest", f"{LABEL}.image-digest", f"{LABEL}.environment-digest"
_BASE = f"{OCI}.base.digest"


class _Image(BaseModel):
    """What the engine lists of an image."""

    id: str = Field(alias="Id")
    tags: list[str] | None = Field(default=None, alias="RepoTags")
    digests: list[str] | None = Field(default=None, alias="RepoDigests")
    created: int = Field(alias="Created")
    size: int = Field(alias="Size")
    labels: dict[str, str] | None = Field(default=None, alias="Labels")

    def label(self, name: str) -> str:
        """A label, or nothing."""
        return (self.labels or {}).get(name, "")

    @property
    def is_job(self) -> bool:
        """Whether a job's image; else an environment's."""
        return bool(self.label(_IMAGE))


class _Inspected(BaseModel):
    tags: list[str] | None = Field(default=None, alias="RepoTags")


class _Container(BaseModel):
    image: str = Field(alias="ImageID")
    names: list[str] = Field(alias="Names")


class Images:
    """Images of jobs and of environments.

    Args:
        base_url: the engine's address; None: as the docker command finds it.
        needs: the runs on the server.
    """

    kind = Kind.IMAGES

    def __init__(self, base_url: str | None, needs: Needs) -> None:
        self._base_url, self._needs = base_url, needs

    def items(self) -> list[Item]:
        """Our images; an environment's lies under those of its jobs."""
        try:
            with opened(self._base_url) as engine:
                listing = _Listing(engine)
        except Unavailable as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []  # there is no engine on this machine
            raise
        return listing.items(self._needs)

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove each by its names, never by force: the engine refuses while a container has it."""
        with opened(self._base_url) as engine:
            for item in items:
                if _remove(engine, item.key):
                    yield item


def _remove(engine: Engine, image: str) -> bool:
    try:
        with errors():
            found = _Inspected.model_validate(engine.inspect_image(image))
            for name in found.tags or [image]:
                engine.remove_image(name)
    except (EngineConflict, NotFound):
        return False
    return True


class _Listing:
    """What an engine has, looked at once."""

    def __init__(self, engine: Engine) -> None:
        self._all = [_Image.model_validate(each) for each in engine.images()]
        running = [_Container.model_validate(each) for each in engine.containers(all=True)]
        self._containers = {each.image: (each.names or ["a container"])[0].removeprefix("/") for each in running}
        ours = [image for image in self._all if _is_ours(image)]
        self._jobs = [image for image in ours if image.is_job]
        self._environments = [image for image in ours if not image.is_job]

    def items(self, needs: Needs) -> list[Item]:
        jobs = [self._job(image, needs) for image in self._jobs]
        built = {image.label(_JOB) for image in self._jobs}
        to_build = next((name for digest, name in needs.jobs.items() if digest not in built), "")
        return [*jobs, *(self._environment(image, jobs, to_build) for image in self._environments)]

    def _job(self, image: _Image, needs: Needs) -> Item:
        run = needs.jobs.get(image.label(_JOB), "")
        made = datetime.fromtimestamp(image.created, UTC)
        environment = next((each for each in self._environments if _stands_on(image, each)), None)
        return Item(
            kind=Kind.IMAGES,
            key=image.id,
            name=_name(image),
            bytes=max(0, image.size - (environment.size if environment else self._base_size(image))),
            used=max(made, needs.last_use(image.label(_JOB)) or made),
            needed=self._containers.get(image.id, "") or (f"run {run}" if run else ""),
        )

    def _environment(self, image: _Image, jobs: list[Item], to_build: str) -> Item:
        """While a run waits whose image is not built yet, any environment may be the one it will be built on."""
        above = {each.id for each in self._jobs if _stands_on(each, image)}
        made = datetime.fromtimestamp(image.created, UTC)
        return Item(
            kind=Kind.IMAGES,
            key=image.id,
            name=_name(image),
            bytes=max(0, image.size - self._base_size(image)),
            used=max([made, *(item.used for item in jobs if item.key in above)]),
            needed=self._containers.get(image.id, "") or (f"run {to_build}, to be built" if to_build else ""),
            under=frozenset(above),
        )

    def _base_size(self, image: _Image) -> int:
        base = image.label(_BASE)
        for each in self._all:
            if base and (each.id == base or any(name.endswith(f"@{base}") for name in each.digests or ())):
                return each.size
        return 0


def _is_ours(image: _Image) -> bool:
    """Labels are inherited: an image that a user built on one of ours has them too, but not our names.

    Ours are named after the digest in the label, here and in a registry; one that was pulled from there by its digest
    has no tag.
    """
    label = image.label(_IMAGE) or image.label(_ENVIRONMENT)
    digits = label.removeprefix("sha256:")
    tags = [name for name in image.tags or () if name != "<none>:<none>"]
    if not digits or not (tags or image.digests):
        return False
    ours = (f"launch-jobs/job:{digits[:32]}", f"launch-jobs/env:{digits[:32]}")
    pulled = all(name.partition("@")[0].endswith(("/job", "/env")) for name in image.digests or ())
    return all(name in ours or name.endswith((f"/job:{digits}", f"/env:{digits}")) for name in tags) and pulled


def _stands_on(job: _Image, environment: _Image) -> bool:
    return job.label(_ENVIRONMENT) == environment.label(_ENVIRONMENT) != ""


def _name(image: _Image) -> str:
    return next(iter(image.tags or ()), image.id[:19])
