"""Jobs of ready images: named by the digest that a registry knows them by, else by the engine's own id."""

from __future__ import annotations

from collections.abc import Sequence

from launch_jobs.engine import Engine, opened
from launch_jobs.engine_images import EngineImage, ask_registry, inspect_image, pull_image
from launch_jobs.errors import BadInput
from launch_jobs.job import Entrypoint, ImageSource, Job, JobVersion, Origin
from launch_jobs.names import ImageRef, check_name, slug
from launch_jobs.store.jobs import JobStore


def capture_image(reference: str, command: Sequence[str], *, store: JobStore, name: str | None = None) -> JobVersion:
    """Make a job of a ready image; nothing is built for it.

    An image that this machine's Docker Engine has is taken as it is; else its registry is asked. One without a
    registry's digest (built here, never pushed) is named by its id: then the job runs on this engine only.

    Args:
        reference: `[registry/]name[:tag][@sha256:…]`.
        command: the job's whole command, in place of the image's entrypoint and command; empty: those of the image,
            which is pulled for it if need be.
        store: takes the job.
        name: of the job; default: the last part of the image's repository.

    Raises:
        BadInput: that is no image reference, there is no such image, it is none for Linux, or it has no command.
        Refused: its registry refuses the docker configuration's account.
        Unavailable: engine or registry does not answer.
    """
    parsed = ImageRef.parse(reference)
    job_name = check_name("job", name) if name else slug(parsed.repository.rpartition("/")[2])
    return store.add(job_name, image_job(reference, command), Origin())


def image_job(reference: str, command: Sequence[str]) -> Job:
    """The job of a ready image, kept nowhere yet (see `capture_image`)."""
    parsed = ImageRef.parse(reference)
    with opened() as engine:
        image = inspect_image(engine, str(parsed))
        source = _here(parsed, image) if image else _in_registry(engine, parsed)
        argv = tuple(command) or _own_command(engine, parsed, source)
    return Job(source=source, entrypoint=Entrypoint(argv=argv))


def _here(reference: ImageRef, image: EngineImage) -> ImageSource:
    _check_system(reference, [image.system])
    digest = reference.digest or image.digest_in(reference.familiar)
    return ImageSource(reference=str(reference), digest=digest, image_id=None if digest else image.id)


def _in_registry(engine: Engine, reference: ImageRef) -> ImageSource:
    found = ask_registry(engine, reference, None)
    if not found:
        raise BadInput(
            f"There is no image {reference}, neither on this Docker Engine nor in its registry",
            do="Check the name with `docker pull`",
        )
    _check_system(reference, [platform.os for platform in found.platforms or ()])
    return ImageSource(reference=str(reference), digest=found.descriptor.digest)


def _check_system(reference: ImageRef, systems: list[str]) -> None:
    if any(systems) and "linux" not in systems:
        raise BadInput(f"{reference} is an image for {systems[0]}", do="Name one for linux")


def _own_command(engine: Engine, reference: ImageRef, source: ImageSource) -> tuple[str, ...]:
    exact = f"{reference.repository}@{source.digest}" if source.digest else source.image_id or ""
    image = inspect_image(engine, exact)
    if not image:
        pull_image(engine, ImageRef.parse(exact), None, lambda: True)
        image = inspect_image(engine, exact)
    if not image or not image.argv:
        raise BadInput(
            f"The image {reference} has no command of its own", do="Write one: launch job create image REF -- CMD"
        )
    return image.argv
