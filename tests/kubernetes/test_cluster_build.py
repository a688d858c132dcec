"""Images built in the cluster: by real agents' builders, in real pods, pushed to the cluster's registry."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from cluster.builder import push_base, push_builder
from cluster.layout import NODES, find_layout
from infrastructure.cluster import Cluster

from launch_jobs.build import BuildPlan
from launch_jobs.build.kubernetes import KubernetesBuilder
from launch_jobs.build.kubernetes_manifest import LABEL, Trust
from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.build.plan import BuildOptions, base_reference, plan
from launch_jobs.build.progress import BuildProgress
from launch_jobs.build.registry import Registry
from launch_jobs.cluster import ClusterAccess
from launch_jobs.errors import BuildError
from launch_jobs.job import CodeSource, Entrypoint, Job
from launch_jobs.names import sha256

pytestmark = pytest.mark.anyio


@dataclass
class Yard:
    """A namespace to build in, a base image, and jobs that nobody else has.

    Attributes:
        registry: host and port, as pods and nodes see it.
        lines: what builds told.
    """

    cluster: Cluster
    namespace: str
    registry: str
    base: str
    image: str
    source: Path
    lines: list[str] = field(default_factory=list[str])

    def builder(self, **options: object) -> KubernetesBuilder:
        """One of an agent of its own."""
        access = ClusterAccess(yaml.safe_load(self.cluster.kubeconfig.read_text()))
        chosen = ClusterBuilder.model_validate({"image": self.image, "plain_http": [self.registry], **options})
        return KubernetesBuilder(access, self.namespace, chosen, Registry(self.registry, self.namespace), trust=Trust())

    async def plan(self, dockerfile: str | None = None) -> BuildPlan:
        """A plan of a new job, with its own Dockerfile or without one."""
        text = f"FROM {self.base}\n{dockerfile}" if dockerfile else None
        job = Job(
            source=CodeSource(tree=sha256(uuid.uuid4().bytes)),
            entrypoint=Entrypoint(argv=("sh", "run.sh")),
            base_image=self.base,
            dockerfile="Dockerfile" if text else None,
        )
        reference = base_reference(job, BuildOptions(), own_dockerfile=text)
        return plan(job, await self.builder().resolve_base(reference), BuildOptions(), own_dockerfile=text)

    async def build(self, made: BuildPlan, **options: object) -> str:
        """Build as an agent of its own."""
        return await self.builder(**options).build(made, self.source, self.lines.append)

    def left(self) -> list[str]:
        """What there is of builds."""
        kinds = "jobs,pods,secrets"
        return self.cluster.kubectl(f"--namespace={self.namespace}", "get", kinds, "-l", LABEL, "--output=name").split()

    async def until(self, what: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(240):
            while not what():  # noqa: ASYNC110 # it is another process's
                await asyncio.sleep(0.2)

    def output_of(self, image: str) -> str:
        """What a pod of an image prints, run as it is."""
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
        metadata = {"name": "look", "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
        of = f"--namespace={self.namespace}"
        self.cluster.kubectl(of, "wait", "pod/look", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
        return self.cluster.kubectl(of, "logs", "look")


@pytest.fixture
def yard(own_cluster: Cluster, k8s_namespace: str, tmp_path: Path) -> Yard:
    """A yard whose builder and base images are in the cluster's registry."""
    layout = find_layout()
    registry = f"{NODES[0].address}:{layout.registry_port.read_text()}"
    (tmp_path / "run.sh").write_text("echo here; id -u\n")
    base, image = push_base(layout, registry), push_builder(layout, registry)
    return Yard(own_cluster, k8s_namespace, registry, base, image, tmp_path)


def _with_environment(made: BuildPlan) -> BuildPlan:
    """The plan in two levels, as a Python job has it, without the packages of one."""
    digest = sha256(uuid.uuid4().bytes)
    tag = f"launch-jobs/env:{digest[7:39]}"
    lines = [
        f"FROM {made.base.reference}",
        "COPY launch/ /opt/",
        f'LABEL org.launch-jobs.environment-digest="{digest}"',
    ]
    changed = {
        "environment_digest": digest,
        "environment_tag": tag,
        "environment_dockerfile": "\n".join([*lines, ""]),
        "dockerfile": "\n".join([f"FROM {tag}", *made.dockerfile.splitlines()[1:], ""]),
        "files": {"launch/here": "environment\n"},
    }
    return made.model_copy(update=changed)


async def test_two_agents_build_one_image(yard: Yard) -> None:
    """One follows the other's builds, first of the environment, then of the job; a node runs what they pushed."""
    (yard.source / "run.sh").write_text("cat /opt/here; id -u\n")
    made = _with_environment(await yard.plan())
    other = asyncio.to_thread(lambda: asyncio.run(yard.build(made)))  # another agent has another event loop
    first, second = await asyncio.gather(yard.build(made), other)
    assert first == second
    assert first.startswith(f"{yard.registry}/{yard.namespace}/job@sha256:")
    for tag in (made.environment_tag, made.tag):
        assert yard.lines.count(f"Building {tag}") > sum(f"builds {tag} already" in line for line in yard.lines)
    assert "An agent builds" in " ".join(yard.lines)
    assert await yard.builder().find(made, yard.lines.append) == first
    assert yard.output_of(first) == "environment\n1000\n"
    await yard.until(lambda: not yard.left())


async def test_a_failed_build_tells_its_step_and_has_no_account(yard: Yard) -> None:
    """And shows a secret to the step that mounts it, only; code in a build finds no account and no token."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given", "namespace": yard.namespace}}
    yard.cluster.apply({**secret, "stringData": {"word": "canary-7"}})
    made = await yard.plan(
        "RUN --mount=type=secret,id=word wc -c < /run/secrets/word > /size && cat /size\n"
        "RUN test ! -e /run/secrets/word && env | grep -ci auth || echo no account\n"
        "RUN echo the reason; exit 7\n"
    )
    with pytest.raises(BuildError, match=r"(?s)could not be built, at: RUN echo the reason.*the reason\n") as failed:
        await yard.build(made, secrets={"word": "given/word"})
    progress = BuildProgress()
    for line in yard.lines:
        progress.read(line)
    assert progress.step is not None
    assert (progress.step.number, progress.percent > 0) == (4, True)
    assert "no account" in yard.lines
    assert "8" in yard.lines
    assert "canary-7" not in json.dumps([*yard.lines, str(failed.value)])
    assert not yard.left()


async def test_a_cancelled_build_is_gone(yard: Yard) -> None:
    """When the cancel is answered, no pod of it is there."""
    made = await yard.plan("RUN echo begun; sleep 600\n")
    building = asyncio.create_task(yard.build(made))
    await yard.until(lambda: "begun" in yard.lines)
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    assert not yard.left()
