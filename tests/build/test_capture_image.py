"""Jobs of ready images: what is captured of a reference."""

from __future__ import annotations

import io
import uuid
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from infrastructure.registry import RegistryProcess
from tiny_registry import tiny_registry

from launch_jobs.capture import capture_image
from launch_jobs.engine import Engine, errors, opened
from launch_jobs.errors import BadInput, LaunchError, Refused, Unavailable
from launch_jobs.images import ready_image
from launch_jobs.job import ImageSource
from launch_jobs.store.jobs import JobStore
from launch_jobs.testing import MemoryObjects

pytestmark = pytest.mark.usefixtures("docker_base")

HEX = "sha256:" + "a" * 64


@pytest.fixture
def store() -> JobStore:
    """An empty job store."""
    return JobStore(MemoryObjects())


@pytest.fixture
def local(docker_base: str) -> Generator[str]:
    """A repository of this test that only this engine has, as `:1`."""
    name = f"launch-jobs-test-{uuid.uuid4().hex}/my.image"
    with opened() as engine:
        engine.tag(docker_base, name, "1")
        yield name
        engine.remove_image(f"{name}:1")


@contextmanager
def built(tag: str, dockerfile: str) -> Generator[Engine]:
    """An image that is gone afterwards."""
    with opened() as engine:
        list(engine.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, decode=True))
        try:
            yield engine
        finally:
            engine.remove_image(tag)


def image_of(reference: str, store: JobStore, *command: str) -> ImageSource:
    """The source of the job that is made of an image."""
    source = capture_image(reference, list(command), store=store).job.source
    assert isinstance(source, ImageSource)
    return source


def test_an_image_that_only_this_engine_has_is_named_by_its_id(local: str, store: JobStore) -> None:
    """No registry is asked; the job's name is the last part of the repository."""
    version = capture_image(f"{local}:1", ["true"], store=store)
    with opened() as engine:
        identity = engine.inspect_image(f"{local}:1")["Id"]
    assert version.job.source == ImageSource(reference=f"{local}:1", image_id=str(identity))
    assert (version.name, version.job.entrypoint.argv, ready_image(version.job.source)) == (
        "my.image",
        ("true",),
        identity,
    )


def test_a_pushed_image_is_named_by_its_registrys_digest(
    docker_registry: RegistryProcess, namespace: str, store: JobStore
) -> None:
    """Which the engine knows; the registry may be away."""
    repository = f"{docker_registry.address}/{namespace}/image"
    with built(f"{repository}:1", f"FROM scratch\nLABEL test={namespace}\n") as engine:
        list(engine.push(repository, "1", stream=True, decode=True))
        digest = docker_registry.digest(f"{namespace}/image", "1")
        docker_registry.stop()
        source = image_of(f"{repository}:1", store, "true")
    assert source == ImageSource(reference=f"{repository}:1", digest=digest)
    assert ready_image(source) == f"{repository}@{digest}"


def test_a_registry_is_asked_for_the_digest_without_pulling(store: JobStore) -> None:
    """The image may be large, and run elsewhere."""
    with tiny_registry(uuid.uuid4().bytes) as (repository, digest):
        assert image_of(f"{repository}:1", store, "true").digest == digest
        assert image_of(f"{repository}@{digest}", store, "true").digest == digest
        assert image_of(f"{repository}:other@{digest}", store, "true").digest == digest
        with opened() as engine, pytest.raises(LaunchError, match="No such image"), errors():
            engine.inspect_image(f"{repository}@{digest}")


def test_the_images_own_command_is_taken_where_none_is_given(docker_base: str, store: JobStore) -> None:
    """Its entrypoint, then its command: what `docker run` would run."""
    tag = f"launch-jobs-test-{uuid.uuid4().hex}:1"
    with built(tag, f'FROM {docker_base}\nENTRYPOINT ["env", "-i"]\nCMD ["echo", "hi"]\n'):
        version = capture_image(tag, [], store=store)
    assert version.job.entrypoint.argv == ("env", "-i", "echo", "hi")


def test_an_image_without_a_command_needs_one(store: JobStore) -> None:
    """Told after it was pulled to look."""
    with tiny_registry(uuid.uuid4().bytes) as (repository, digest):
        try:
            with pytest.raises(BadInput, match=r"no command of its own.* -- CMD"):
                capture_image(f"{repository}:1", [], store=store)
        finally:
            with opened() as engine:
                engine.remove_image(f"{repository}@{digest}")
    assert list(store.names()) == []


@pytest.mark.parametrize(
    "reference",
    [
        *("", " ", "a b", "UPPER", "x:tag:tag", "x@sha256:short", "localhost/..", "x#y", "x\nFROM evil", "x:", "-x"),
        *("docker://x", "https://registry.example/x", "x@md5:" + "a" * 32, "x" * 300, "/x", "x/", "é", "x:-1", "x\0"),
        f"x@{HEX}@{HEX}",
    ],
)
def test_what_is_no_reference_is_told_in_one_line(reference: str, store: JobStore) -> None:
    """Before any engine or registry is asked."""
    with pytest.raises(BadInput, match="is no image reference") as caught:
        capture_image(reference, ["true"], store=store)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("selector", [":2", f"@{HEX}"])
def test_an_image_that_is_nowhere_is_told(selector: str, store: JobStore) -> None:
    """Neither here nor in its registry."""
    with tiny_registry(b"x") as (repository, _), pytest.raises(BadInput, match=r"There is no image .*tiny"):
        capture_image(repository + selector, ["true"], store=store)


def test_an_image_for_windows_is_refused(store: JobStore) -> None:
    """No queue could run it."""
    with tiny_registry(b"x", system="windows") as (repository, _), pytest.raises(BadInput, match="image for windows"):
        capture_image(f"{repository}:1", ["true"], store=store)


def test_a_registry_that_is_down_is_unavailable(
    docker_registry: RegistryProcess, namespace: str, store: JobStore
) -> None:
    """Not a missing image."""
    docker_registry.stop()
    with pytest.raises(Unavailable, match="does not answer"):
        capture_image(f"{docker_registry.address}/{namespace}/x", ["true"], store=store)


def test_a_registry_that_wants_an_account_says_so(
    closed_registry: RegistryProcess, namespace: str, store: JobStore
) -> None:
    """With the way to give one."""
    with pytest.raises(Refused, match="docker login"):
        capture_image(f"{closed_registry.address}/{namespace}/x", ["true"], store=store)
