"""The Docker builder, on a real engine."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_registry import tiny_registry

from launch_jobs.build import BuildPlan
from launch_jobs.build.docker import DockerBuilder, buildkit_client
from launch_jobs.build.plan import BuildOptions, base_reference, plan
from launch_jobs.engine import errors, opened, stat_path
from launch_jobs.errors import BadInput, BuildError, NotFound, Unavailable
from launch_jobs.job import CodeSource, Distribution, Entrypoint, Environment, Job
from launch_jobs.names import sha256
from launch_jobs.targets.containers import looks_untouched
from launch_jobs.targets.render import CONTAINER_OUTPUT_DIR

pytestmark = pytest.mark.anyio

PROGRAM = """\
import importlib.metadata, os, pathlib, six, sys, tested_lib
pathlib.Path("written").write_text("here")
print(six.__version__, os.getuid(), sys.prefix, os.getcwd(), importlib.metadata.version("tested-lib"), tested_lib.X)
"""


@dataclass
class Workshop:
    """A base, a source tree that no other test run has, and what was made from it."""

    base: str
    source: Path
    salt: str = field(default_factory=lambda: uuid.uuid4().hex)
    plans: list[BuildPlan] = field(default_factory=list[BuildPlan])
    log: list[str] = field(default_factory=list[str])

    def job(self, *argv: str, environment: Environment | None = None, directory: str = ".") -> Job:
        """A job of this test run only."""
        return Job(
            source=CodeSource(tree=sha256(self.salt.encode())),
            entrypoint=Entrypoint(argv=argv, directory=directory),
            environment=environment or Environment(),
            base_image=self.base,
        )

    def python(self, *packages: tuple[str, str]) -> Environment:
        """A Python environment of this test run only, for its own library has a version of its own."""
        own = Distribution(name="tested-lib", version=f"0.{int(self.salt[:8], 16)}", origin="source", url="libs/tested")
        found = [Distribution(name=name, version=version) for name, version in packages]
        return Environment(python="3.11.99", distributions=(*found, own))

    async def plan(self, builder: DockerBuilder, job: Job, dockerfile: str | None = None) -> BuildPlan:
        """Plan, and remember to clean up."""
        if dockerfile:
            job = job.model_copy(update={"dockerfile": "Dockerfile"})
        reference = base_reference(job, BuildOptions(), own_dockerfile=dockerfile)
        made = plan(job, await builder.resolve_base(reference), BuildOptions(), own_dockerfile=dockerfile)
        self.plans.append(made)
        return made

    async def build(self, builder: DockerBuilder, made: BuildPlan) -> str:
        """Build with our log."""
        return await builder.build(made, self.source, self.log.append)

    def clean(self) -> None:
        """Remove every image that was made."""
        remove_images(*(made.tag for made in self.plans), *(made.environment_tag for made in self.plans))


def remove_images(*references: str) -> None:
    """Remove those that are there."""
    with opened() as engine:
        for reference in filter(None, references):
            with suppress(NotFound), errors():
                engine.remove_image(reference)


@pytest.fixture
def workshop(docker_base: str, tmp_path: Path) -> Generator[Workshop]:
    """A workshop of this test, cleaned up after it."""
    source = tmp_path / "source"
    (source / "libs/tested/src/tested_lib").mkdir(parents=True)
    (source / "libs/tested/src/tested_lib/__init__.py").write_text("X = 42\n")
    (source / "program.py").write_text(PROGRAM)
    made = Workshop(docker_base, source)
    yield made
    made.clean()


@pytest.fixture(params=[True, False], ids=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest) -> DockerBuilder:
    """Both ways to build."""
    return DockerBuilder(network="host", buildkit=request.param)


def output_of(image: str) -> str:
    """What the image prints when it is run as it is."""
    with opened() as engine:
        container = str(engine.create_container_from_config({"Image": image, "NetworkDisabled": True})["Id"])
        try:
            engine.start(container)
            engine.wait(container)
            return b"".join(engine.logs(container, stream=True)).decode()
        finally:
            engine.remove_container(container, force=True)


def images_labelled(salt: str) -> list[str]:
    """Every image, named or not, that carries the test's label."""
    with opened() as engine:
        return [str(image["Id"]) for image in engine.images(filters={"label": f"salt={salt}"})]


async def test_a_python_job_runs_in_its_image(workshop: Workshop, builder: DockerBuilder) -> None:
    """With its packages, its own library and its metadata, as another user than root, in a folder it can write to."""
    job = workshop.job("python", "program.py", environment=workshop.python(("six", "1.16.0")))
    image = await workshop.build(builder, await workshop.plan(builder, job))
    version = job.environment.distributions[-1].version
    assert output_of(image).split() == ["1.16.0", "1000", "/opt/launch/venv", "/workspace", version, "42"]


async def test_an_environment_brings_the_output_folder(workshop: Workshop, builder: DockerBuilder) -> None:
    """So that it need not be put into each container."""
    job = workshop.job("python", "program.py", environment=workshop.python())
    image = await workshop.build(builder, await workshop.plan(builder, job))
    with opened() as engine:
        container = str(engine.create_container_from_config({"Image": image})["Id"])
        try:
            assert looks_untouched(stat_path(engine, container, CONTAINER_OUTPUT_DIR))
        finally:
            engine.remove_container(container)


async def test_jobs_with_one_environment_share_its_image(workshop: Workshop) -> None:
    """The second job adds one layer; the same job adds nothing."""
    builder = DockerBuilder(network="host")
    environment = workshop.python()
    one, other = [
        await workshop.plan(builder, workshop.job("python", "-c", word, environment=environment)) for word in "ab"
    ]
    image = await workshop.build(builder, one)
    workshop.log.clear()
    assert await workshop.build(builder, other) != image
    assert f"Building {other.tag}" in workshop.log
    assert f"Building {one.environment_tag}" not in workshop.log
    workshop.log.clear()
    assert await workshop.build(builder, one) == image == await builder.find(one, workshop.log.append)
    assert workshop.log == []


async def test_a_program_without_python_runs_in_its_folder(workshop: Workshop, builder: DockerBuilder) -> None:
    """Whatever the folder and the arguments are called."""
    directory = "a $HOME \"q\" 'x' \\ c"
    (workshop.source / directory).mkdir()
    (workshop.source / directory / "file").write_text("")
    job = workshop.job("sh", "-c", 'pwd; id -u; touch new && echo "$0"', '$PATH \\ "\n', directory=directory)
    image = await workshop.build(builder, await workshop.plan(builder, job))
    assert output_of(image) == f'/workspace/{directory}\n1000\n$PATH \\ "\n\n'


async def test_a_job_with_its_own_dockerfile_is_built_as_it_says(workshop: Workshop, builder: DockerBuilder) -> None:
    """Its own context, ignore file and folder; the command is the job's."""
    (workshop.source / ".dockerignore").write_text("libs\n")
    text = f'FROM {workshop.base}\nWORKDIR /app\nCOPY . .\nENTRYPOINT ["false"]\n'
    made = await workshop.plan(builder, workshop.job("sh", "-c", "pwd; ls"), text)
    assert output_of(await workshop.build(builder, made)) == "/app\nprogram.py\n"


async def test_a_failing_build_tells_its_last_lines(workshop: Workshop, builder: DockerBuilder) -> None:
    """The step and what it printed; no image, named or not, stays."""
    text = f"FROM {workshop.base}\nLABEL salt={workshop.salt}\nRUN echo fine > /x\nRUN echo no luck; exit 7\n"
    made = await workshop.plan(builder, workshop.job("x"), text)
    with pytest.raises(BuildError, match=r"(?s)at: RUN echo no luck.*no luck.*7") as caught:
        await workshop.build(builder, made)
    assert len(str(caught.value).splitlines()) <= 16
    assert await builder.find(made, workshop.log.append) is None
    assert images_labelled(workshop.salt) == []


async def test_a_package_that_does_not_exist_is_named(workshop: Workshop) -> None:
    """The error quotes it."""
    builder = DockerBuilder(network="host")
    job = workshop.job("python", environment=workshop.python(("six", "99.0")))
    with pytest.raises(BuildError, match=r"six==99\.0"):
        await workshop.build(builder, await workshop.plan(builder, job))


async def test_a_cancelled_build_leaves_nothing(workshop: Workshop, builder: DockerBuilder) -> None:
    """No process in the engine, no image."""
    mark = f"1000.{int(workshop.salt, 16)}"
    text = f"FROM {workshop.base}\nLABEL salt={workshop.salt}\nRUN echo fine > /x\nRUN echo begun; sleep {mark}\n"
    made = await workshop.plan(builder, workshop.job("x"), text)
    work = asyncio.create_task(workshop.build(builder, made))
    await until(lambda: bool(processes(f"sleep {mark}")) and any("begun" in line for line in workshop.log))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: not processes(mark))
    assert images_labelled(workshop.salt) == []


async def test_two_callers_build_once(workshop: Workshop) -> None:
    """The second waits for the first, whichever builder object it uses."""
    made = await workshop.plan(DockerBuilder(), workshop.job("true"))
    images = await asyncio.gather(*(workshop.build(DockerBuilder(), made) for _ in range(3)))
    assert len(set(images)) == 1
    assert workshop.log.count(f"Building {made.tag}") == 1


async def test_a_base_that_moved_is_refused(workshop: Workshop) -> None:
    """What was resolved is what is built on, or nothing is."""
    builder = DockerBuilder()
    first = await workshop.build(builder, await workshop.plan(builder, workshop.job("true")))
    moving = f"launch-jobs-test-{workshop.salt}"
    with opened() as engine:
        engine.tag(workshop.base, moving, "1")
        try:
            job = workshop.job("false").model_copy(update={"base_image": f"{moving}:1"})
            made = await workshop.plan(builder, job)
            engine.tag(first, moving, "1")
            with pytest.raises(BuildError, match="moved"):
                await workshop.build(builder, made)
        finally:
            engine.remove_image(f"{moving}:1")
    assert await builder.find(made, workshop.log.append) is None


async def test_a_local_base_is_known_by_its_image_id(docker_base: str) -> None:
    """It has no registry digest."""
    with opened() as engine:
        expected = engine.inspect_image(docker_base)["Id"]
    assert (await DockerBuilder().resolve_base(docker_base)).identity == expected


@pytest.mark.usefixtures("docker_base")
async def test_a_base_in_a_registry_is_pulled_and_known_by_its_digest() -> None:
    """Also when it is named by that digest, and then without asking again."""
    with tiny_registry(uuid.uuid4().bytes) as (repository, digest):
        try:
            assert (await DockerBuilder().resolve_base(f"{repository}:1")).identity == digest
            assert (await DockerBuilder().resolve_base(f"{repository}@{digest}")).identity == digest
        finally:
            remove_images(f"{repository}:1", f"{repository}@{digest}")


@pytest.mark.usefixtures("docker_base")
async def test_a_tag_that_its_registry_does_not_have_is_refused() -> None:
    """The registry's answer is told."""
    with (
        tiny_registry(b"x") as (repository, _),
        pytest.raises(BadInput, match=rf"{repository}:2 .*(manifest unknown|not found)"),
    ):
        await DockerBuilder().resolve_base(f"{repository}:2")


async def test_a_job_is_built_on_a_pulled_base(workshop: Workshop, builder: DockerBuilder) -> None:
    """Named by its digest, it needs no registry any more."""
    with tiny_registry(uuid.uuid4().bytes) as (repository, digest):
        reference = (await DockerBuilder().resolve_base(f"{repository}@{digest}")).reference
    try:
        workshop.base = reference
        assert await workshop.build(builder, await workshop.plan(builder, workshop.job("/file")))
    finally:
        workshop.clean()
        remove_images(reference)


async def test_a_base_that_is_nowhere_is_refused_in_one_line(docker_base: str) -> None:
    """The line names the image, and what engine and registry said."""
    with pytest.raises(BadInput, match=r"launch\.invalid/nothing:1 is not on this Docker Engine.*registry") as caught:
        await DockerBuilder().resolve_base("launch.invalid/nothing:1")
    assert "\n" not in str(caught.value)


async def test_an_engine_that_is_down_is_unavailable(workshop: Workshop, tmp_path: Path) -> None:
    """Not a missing image."""
    builder = DockerBuilder(f"unix://{tmp_path}/no.sock")
    made = await workshop.plan(DockerBuilder(), workshop.job("true"))
    with pytest.raises(Unavailable, match="does not answer"):
        await builder.find(made, workshop.log.append)
    with pytest.raises(Unavailable, match="does not answer"):
        await builder.resolve_base("python:3.11")


async def test_a_docker_command_without_buildkit_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first on PATH that can build with BuildKit is taken; none is no error."""
    for name, answer in {"lacks": "exit 0", "has": "echo '      --ssh stringArray'"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "docker").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / name / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/lacks:{tmp_path}/has")
    assert await buildkit_client() == f"{tmp_path}/has/docker"
    monkeypatch.setenv("PATH", f"{tmp_path}/lacks")
    assert await buildkit_client() is None


def processes(mark: str) -> list[str]:
    """Command lines on this host that hold `mark`."""
    found: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if mark in line else []
    return found


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that only the engine knows."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)
