"""Built images in a registry: Debian's own, real ones, lying ones, absent ones."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from infrastructure.registry import ACCOUNT, Answer, RegistryProcess, proxy_before

from launch_jobs.build import BaseImage, BuildPlan
from launch_jobs.build.docker import DockerBuilder
from launch_jobs.build.plan import BuildOptions, plan
from launch_jobs.build.registry import Registry, RegistryBuilder
from launch_jobs.engine import Login, opened
from launch_jobs.errors import BadInput, NotFound, Refused, Unavailable
from launch_jobs.job import CodeSource, Entrypoint, Job
from launch_jobs.names import digest_of, sha256

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("docker_base")]

LIE = "sha256:" + "0" * 64


@dataclass
class Shop:
    """A registry, a namespace in it, a source tree, and images of a few bytes that no other test has."""

    process: RegistryProcess
    namespace: str
    source: Path
    log: list[str] = field(default_factory=list[str])
    plans: list[BuildPlan] = field(default_factory=list[BuildPlan])

    def registry(self, **changes: object) -> Registry:
        """Where the images go; nobody is waited for unless a test says so."""
        made = Registry(self.process.address, self.namespace, patience_s=0)
        return dataclasses.replace(made, **changes)  # pyright: ignore[reportArgumentType] # a field's own type

    def plan(self) -> BuildPlan:
        """An image of one file."""
        source = CodeSource(tree=sha256(self.namespace.encode()))
        job = Job(source=source, entrypoint=Entrypoint(argv=("/program",)), dockerfile="Dockerfile")
        base = BaseImage(reference="scratch", identity=digest_of("scratch"))
        return plan(job, base, BuildOptions(), own_dockerfile="FROM scratch\nCOPY . /\n")

    def layered_plan(self) -> BuildPlan:
        """The same on an environment image of its own."""
        whole, marker = self.plan(), self.namespace.removeprefix("test-")
        label = f"LABEL org.launch-jobs.environment-digest={whole.environment_digest}\n"
        environment = {"environment_tag": f"launch-jobs/env:{marker}", "files": {"marker": marker}}
        environment["environment_dockerfile"] = f"FROM scratch\nCOPY marker /\n{label}"
        dockerfile = whole.dockerfile.replace("FROM scratch", f"FROM launch-jobs/env:{marker}")
        return whole.model_copy(update={**environment, "dockerfile": dockerfile})

    async def get(self, wanted: BuildPlan, registry: Registry | None = None) -> str:
        """Find or build, as an agent does."""
        self.plans.append(wanted)
        builder = RegistryBuilder(DockerBuilder(), registry or self.registry())
        found = await builder.find(wanted, self.log.append)
        return found or await builder.build(wanted, self.source, self.log.append)

    async def build_here(self, wanted: BuildPlan) -> str:
        """Build as an agent of a queue without a registry does."""
        self.plans.append(wanted)
        # Without BuildKit, whose cache would give another machine's very image.
        return await DockerBuilder(buildkit=False).build(wanted, self.source, self.log.append)

    def forget(self) -> None:
        """Remove everything of ours from the engine: it is another machine then."""
        ours = {tag for made in self.plans for tag in (made.tag, made.environment_tag) if tag}
        with opened() as engine:
            for image in engine.images():
                names = [
                    str(name) for key in ("RepoTags", "RepoDigests") for name in cast("list[str]", image[key] or [])
                ]
                if ours & set(names) or any(self.namespace in name for name in names):
                    engine.remove_image(str(image["Id"]), force=True)

    def said(self, word: str) -> int:
        """How many lines of the log begin with a word."""
        return sum(line.startswith(word) for line in self.log)


@pytest.fixture
def shop(docker_registry: RegistryProcess, namespace: str, tmp_path: Path) -> Generator[Shop]:
    """A shop at the open registry; the engine knows nothing of it afterwards."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "program").write_text(namespace)
    made = Shop(docker_registry, namespace, source)
    yield made
    made.forget()


def hex_of(wanted: BuildPlan) -> str:
    """The tag of a plan in a registry."""
    return wanted.digest.removeprefix("sha256:")


async def test_a_built_image_is_pushed_and_named_by_the_registrys_digest(shop: Shop) -> None:
    """The registry itself has it under the plan's digest, and the engine can run it by that name."""
    wanted = shop.plan()
    got = await shop.get(wanted)
    digest = shop.process.digest(f"{shop.namespace}/job", hex_of(wanted))
    assert got == f"{shop.process.address}/{shop.namespace}/job@{digest}"
    with opened() as engine:
        assert engine.inspect_image(got)["Id"] == engine.inspect_image(wanted.tag)["Id"]


async def test_what_is_there_is_not_pushed_again(shop: Shop) -> None:
    """The second run of a plan writes nothing to the registry."""
    wanted = shop.plan()
    with proxy_before(shop.process) as proxy:
        registry = shop.registry(address=proxy.address)
        first = await shop.get(wanted, registry)
        written = [path for method, path in proxy.seen if method == "PUT"]
        assert await shop.get(wanted, registry) == first
        assert [path for method, path in proxy.seen if method == "PUT"] == written != []


async def test_another_machine_pulls_instead_of_building(shop: Shop) -> None:
    """By digest, under the plan's tag from then on."""
    wanted = shop.plan()
    first = await shop.get(wanted)
    shop.forget()
    shop.log.clear()
    assert await shop.get(wanted) == first
    assert (shop.said("Pulling"), shop.said("Building"), shop.said("Pushing")) == (1, 0, 0)
    assert await DockerBuilder().find(wanted, shop.log.append) is not None


async def test_the_environment_image_is_shared_too(shop: Shop) -> None:
    """Another machine, another job: only the job's own layer is built."""
    wanted = shop.layered_plan()
    await shop.get(wanted)
    assert shop.process.digest(f"{shop.namespace}/env", wanted.environment_digest.removeprefix("sha256:"))
    shop.forget()
    shop.log.clear()
    other = wanted.model_copy(update={"digest": sha256(b"other"), "tag": f"launch-jobs/job:{uuid.uuid4().hex}"})
    await shop.get(other)
    assert [line for line in shop.log if line.startswith("Building")] == [f"Building {other.tag}"]
    assert shop.said("Pulling") == 1


async def test_an_image_built_before_the_queue_had_a_registry_is_pushed(shop: Shop) -> None:
    """It is not built again."""
    wanted = shop.plan()
    await shop.build_here(wanted)
    shop.log.clear()
    assert "@sha256:" in await shop.get(wanted)
    assert (shop.said("Building"), shop.said("Pushing")) == (0, 1)


async def test_agents_that_built_one_plan_apart_agree_on_one_image(shop: Shop) -> None:
    """The second takes what the first has pushed, though it has built its own, which goes."""
    wanted = shop.plan()
    first = await shop.get(wanted)
    shop.forget()
    own = await shop.build_here(wanted)
    assert await shop.get(wanted) == first
    assert await DockerBuilder().find(wanted, shop.log.append) != own
    with pytest.raises(NotFound), opened() as engine:
        engine.inspect_image(own)


async def test_callers_of_one_plan_push_once(shop: Shop) -> None:
    """The others wait for the first."""
    wanted = shop.plan()
    assert len(set(await asyncio.gather(*(shop.get(wanted) for _ in range(3))))) == 1
    assert shop.said("Pushing") == 1


async def test_while_the_registry_is_down_the_built_image_is_kept(shop: Shop) -> None:
    """The error says that it is away; the next try pushes without building."""
    wanted = shop.plan()
    await shop.build_here(wanted)
    shop.process.stop()
    with pytest.raises(Unavailable, match=rf"does not answer.*{shop.process.address}.*refused") as caught:
        await shop.get(wanted)
    assert "\n" not in str(caught.value)
    shop.process.start()
    shop.log.clear()
    await shop.get(wanted)
    assert (shop.said("Building"), shop.said("Pushing")) == (0, 1)


async def test_a_registry_that_comes_back_is_waited_for(shop: Shop) -> None:
    """Away when it is asked, and told so; nobody submits again."""
    wanted = shop.plan()
    shop.process.stop()
    work = asyncio.ensure_future(shop.get(wanted, shop.registry(patience_s=60)))
    while not any("trying again" in line for line in shop.log):  # noqa: ASYNC110 - only the log tells
        await asyncio.sleep(0.05)
    shop.process.start()
    assert "@sha256:" in await work


async def test_what_the_engine_had_from_the_registry_runs_while_it_is_away(shop: Shop) -> None:
    """Also in a process that has never asked for it."""
    wanted = shop.plan()
    await shop.build_here(wanted)
    repository = f"{shop.process.address}/{shop.namespace}/job"
    with opened() as engine:
        engine.tag(wanted.tag, repository, "any")
        list(engine.push(repository, "any", stream=True, decode=True))
    digest = shop.process.digest(f"{shop.namespace}/job", "any")
    shop.process.stop()
    assert await shop.get(wanted) == f"{repository}@{digest}"
    assert any("does not answer" in line for line in shop.log)


def _lie_about_tags(answer: Answer) -> None:
    if "/manifests/" in answer.path and answer.status == 200 and not answer.path.endswith(LIE):
        answer.headers["Docker-Content-Digest"] = LIE


def _swap_content(answer: Answer) -> None:
    """Of manifests that are asked for by digest, with the length told."""
    if answer.method == "GET" and "/manifests/sha256:" in answer.path:
        answer.body = json.dumps({**json.loads(answer.body), "annotations": {"swapped": "yes"}}).encode()
        answer.headers["Content-Length"] = str(len(answer.body))


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_registry_that_lies_about_a_pushed_digest_is_refused(shop: Shop, *, stubborn: bool) -> None:
    """Both digests are told; the lie never runs, even if the registry serves something by it."""
    wanted = shop.plan()
    with proxy_before(shop.process) as proxy:
        proxy.change = _lie_about_tags
        if stubborn:
            proxy.route = lambda path: path.replace(LIE, hex_of(wanted))
        with pytest.raises(Refused, match=r"pushed sha256:[0-9a-f]{64}, .* has") as caught:
            await shop.get(wanted, shop.registry(address=proxy.address))
    pushed = str(shop.process.digest(f"{shop.namespace}/job", hex_of(wanted)))
    assert (pushed in str(caught.value), LIE in str(caught.value)) == (True, stubborn)


async def test_a_registry_that_serves_other_content_is_refused(shop: Shop) -> None:
    """The engine checks what it pulls against the digest."""
    wanted = shop.plan()
    await shop.get(wanted)
    shop.forget()
    with proxy_before(shop.process) as proxy:
        proxy.change = _swap_content
        with pytest.raises(Refused, match="other content than the digest names"):
            await shop.get(wanted, shop.registry(address=proxy.address))
    assert await DockerBuilder().find(wanted, shop.log.append) is None


async def test_another_image_under_the_plans_tag_is_refused(shop: Shop) -> None:
    """What was pushed over it is not what was planned, and its digest is told."""
    wanted = shop.plan()
    other = wanted.model_copy(update={"digest": sha256(b"other"), "tag": f"launch-jobs/job:{uuid.uuid4().hex}"})
    await shop.build_here(wanted)
    with opened() as engine:
        engine.tag(wanted.tag, f"{shop.process.address}/{shop.namespace}/job", hex_of(other))
        list(engine.push(f"{shop.process.address}/{shop.namespace}/job", hex_of(other), stream=True, decode=True))
    with pytest.raises(Refused, match=rf"another image as .*:{hex_of(other)}: sha256:.* of {wanted.digest}"):
        await shop.get(other)


@pytest.mark.parametrize("login", [None, Login(ACCOUNT[0], "wrong-word", "")], ids=["no account", "wrong password"])
async def test_a_refused_account_is_told_in_one_line(
    shop: Shop, closed_registry: RegistryProcess, login: Login | None
) -> None:
    """With what to do, and without the password."""
    with pytest.raises(Refused, match=r"The registry refuses; .*Registry block") as caught:
        await shop.get(shop.plan(), shop.registry(address=closed_registry.address, login=login))
    assert "\n" not in str(caught.value)
    assert "wrong-word" not in str(caught.value) + "".join(shop.log)


async def test_an_account_pushes_and_pulls(shop: Shop, closed_registry: RegistryProcess) -> None:
    """The password is in no line of the log."""
    wanted = shop.plan()
    registry = shop.registry(address=closed_registry.address, login=Login(*ACCOUNT, closed_registry.address))
    first = await shop.get(wanted, registry)
    shop.forget()
    assert await shop.get(wanted, registry) == first
    assert (shop.said("Pushing"), shop.said("Pulling")) == (1, 1)
    assert ACCOUNT[1] not in "".join(shop.log) + repr(registry)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_in_trouble_is_unavailable(shop: Shop, status: int) -> None:
    """Trying again can help."""

    def fail(answer: Answer) -> None:
        answer.status, answer.body = status, b""
        answer.headers = {"Content-Length": "0", "Retry-After": "1"}

    with proxy_before(shop.process) as proxy:
        proxy.change = fail
        with pytest.raises(Unavailable):
            await shop.get(shop.plan(), shop.registry(address=proxy.address))


@pytest.mark.parametrize(
    ("address", "namespace"),
    [
        ("registry", "a"),
        ("", "a"),
        ("https://registry.example", "a"),
        ("registry.example:99999999", "a"),
        ("registry.example/path me", "a"),
        ("registry.example", "UPPER"),
        ("registry.example", "a//b"),
        ("registry.example", "../up"),
        ("registry.example", "a:tag"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, namespace: str) -> None:
    """Above all one that an engine would take for a path on Docker Hub."""
    with pytest.raises(BadInput, match="Mend the Registry block"):
        Registry(address, namespace)
