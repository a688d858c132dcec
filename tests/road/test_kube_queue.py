"""Jobs on a Kubernetes queue, end to end: a real server, an agent as a process, the real cluster."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from infrastructure.cluster import Cluster
from walking import Road

from launch_jobs.job import Entrypoint, ImageSource, Inputs, Job, JobVersion, JsonObject, Origin
from launch_jobs.queue import create_queue
from launch_jobs.run import RunState
from launch_jobs.runs import read_log
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.template import base_job_template, with_operator_fields

pytestmark = pytest.mark.anyio


@dataclass
class KubeRoad:
    """A road whose queue runs on the cluster, in a namespace of the test's own."""

    road: Road
    cluster: Cluster
    namespace: str
    queue: str = ""

    async def make_queue(self, **operators: object) -> str:
        """A Kubernetes queue, with an agent."""
        self.queue = f"kube-{uuid.uuid4().hex[:8]}"
        model = KubernetesConfiguration
        given: JsonObject = {"namespace": self.namespace, **operators}  # type: ignore[dict-item]
        template = with_operator_fields(base_job_template(model), model, given)
        await create_queue(self.queue, "kubernetes", template=template)
        self.road.queues.append(self.queue)
        return self.queue

    def job(self, script: str, *words: str, inputs: Inputs | None = None) -> JobVersion:
        """A job of the ready base image."""
        source = ImageSource(reference=self.cluster.base_image)
        entrypoint = Entrypoint(argv=("sh", "-c", script, "sh", *words))
        name = f"kube-{self.road.mark}-{uuid.uuid4().hex[:6]}"
        return self.road.store.add(name, Job(source=source, entrypoint=entrypoint, inputs=inputs or Inputs()), Origin())

    async def log(self, run: str) -> list[str]:
        """The lines of a run's log."""
        return b"".join([chunk async for chunk in read_log(run, self.road.store)]).decode().splitlines()

    def objects(self) -> list[str]:
        """Everything of ours that is in the namespace."""
        kinds = "jobs,pods,secrets,configmaps,services"
        return self.cluster.kubectl(
            *("get", kinds, f"--namespace={self.namespace}", "-l", "launch-jobs.org/attempt", "-o", "name")
        ).split()


@pytest.fixture
async def kube(
    road: Road, cluster: Cluster, k8s_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[KubeRoad]:
    """The road to the cluster."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    yield KubeRoad(road, cluster, k8s_namespace)


async def test_a_job_runs_with_its_parameters_and_its_outputs_come_home(kube: KubeRoad) -> None:
    """And nothing of it is left on the cluster."""
    queue = await kube.make_queue()
    kube.road.agent("-q", queue)
    job = kube.job('echo "$LAUNCH_PARAMETERS"; echo "{\\"loss\\": 0.5}" > $LAUNCH_OUTPUT_DIR/metrics.json')
    run = await kube.road.submit(job, queue)
    info = await kube.road.end(run)
    assert (info.state, info.exit_code) == (RunState.COMPLETED, 0), info.reason
    assert await kube.log(run) == ["{}"]
    assert info.metrics == {"loss": 0.5}
    await kube.road.until_true(lambda: not kube.objects())
