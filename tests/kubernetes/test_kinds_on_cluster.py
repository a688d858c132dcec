"""Kinds of workloads on a real cluster, with nothing but the rights that the agent's chart gives."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.layout import find_layout
from cluster.programs import tools
from infrastructure.cluster import Cluster

from launch_jobs.cluster import ClusterAccess
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.target import KubernetesTarget
from launch_jobs.targets.render import Attempt, render_kubernetes

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "launch-agent"
PAIR = {"completions": 2, "parallelism": 2}
MANIFESTS: dict[str, Any] = {
    "Job": {"apiVersion": "batch/v1", "kind": "Job", "spec": {**PAIR, "completionMode": "Indexed"}},
    "JobSet": {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "spec": {"replicatedJobs": [{"name": "w", "template": {"spec": PAIR}}]},
    },
    "PyTorchJob": {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1}, "Worker": {"replicas": 1}}},
    },
}


@pytest.fixture
def operated(own_cluster: Cluster, k8s_namespace: str, tmp_path: Path) -> Iterator[str]:
    """A restricted namespace in which somebody plays the operators of JobSet and PyTorchJob."""
    own_cluster.kubectl("apply", *(f"--filename={path}" for path in sorted((HERE / "crds").glob("*.yaml"))))
    crds = ("crd/jobsets.jobset.x-k8s.io", "crd/pytorchjobs.kubeflow.org")
    own_cluster.kubectl("wait", "--for=condition=Established", *crds, "--timeout=60s")
    own_cluster.kubectl("label", "namespace", k8s_namespace, "pod-security.kubernetes.io/enforce=restricted")
    socket = tmp_path / "api"
    proxy = [own_cluster.program, "--kubeconfig", str(own_cluster.kubeconfig), "proxy", f"--unix-socket={socket}"]
    with subprocess.Popen(proxy, stdout=subprocess.PIPE, text=True) as door:
        assert door.stdout
        assert "Starting to serve" in door.stdout.readline()
        operator = subprocess.Popen([sys.executable, str(HERE / "kind_operator.py"), str(socket), k8s_namespace])
        yield k8s_namespace
        for process in (operator, door):
            process.terminate()
            process.wait(30)


@pytest.fixture
def rights(own_cluster: Cluster, k8s_namespace: str) -> Generator[ClusterAccess]:
    """The chart's own service account, with its Role in this namespace and nothing else."""
    values = {
        "queues": ["q"],
        "targetNamespaces": [k8s_namespace],
        "kinds": [
            {"group": "jobset.x-k8s.io", "resource": "jobsets"},
            {"group": "kubeflow.org", "resource": "pytorchjobs"},
        ],
    }
    helm = [str(tools(find_layout()) / "helm"), "template", "agent", str(CHART), f"--namespace={k8s_namespace}"]
    command = [*helm, "--show-only=templates/account.yaml", "-f", "-"]
    objects = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True).stdout
    own_cluster.kubectl("apply", "-f", "-", stdin=objects)
    token = own_cluster.kubectl(f"--namespace={k8s_namespace}", "create", "token", "agent").strip()
    config = json.loads(own_cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    yield ClusterAccess(config)
    name = f"agent-{k8s_namespace}"
    own_cluster.kubectl("delete", "clusterrole,clusterrolebinding", name)


@pytest.fixture
async def target(rights: ClusterAccess) -> AsyncIterator[KubernetesTarget]:
    """A target with these rights."""
    made = KubernetesTarget(rights)
    yield made
    await made.close()


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("rank-*") if path.is_file()}


@pytest.mark.parametrize("kind", MANIFESTS)
async def test_two_ranks_find_each_other(
    kind: str, own_cluster: Cluster, operated: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """Both pods run restricted, know their rank, come home with outputs, and nothing is left."""
    script = 'echo "rank $RANK of $WORLD_SIZE at $MASTER_ADDR"; echo $RANK > $LAUNCH_OUTPUT_DIR/rank-$RANK'
    attempt = Attempt(
        run_id=str(uuid.uuid4()),
        number=1,
        job="j@sha256:0",
        queue="q",
        image="docker.io/library/launch-jobs-base:bookworm",
        command=("sh", "-c", script),
    )
    configuration = KubernetesConfiguration(namespace=operated, manifest=MANIFESTS[kind])
    spec = render_kubernetes(attempt, configuration, load_kinds())
    place = await target.place_of(spec)
    await target.ensure(spec)
    log = b"".join([chunk.data async for chunk in target.logs(place, None)]).decode()
    status = await target.status(place)
    assert status is not None
    assert status.exit_code == 0, status
    assert "rank 0 of 2" in log
    assert "rank 1 of 2" in log
    await target.collect(place, spec, tmp_path)
    assert _files(tmp_path) == {"rank-0", "rank-1"}
    await target.remove(place)
    own_cluster.kubectl(
        "wait", f"--namespace={operated}", "--for=delete", "pod", f"--selector={ATTEMPT_LABEL}={spec.name}"
    )
