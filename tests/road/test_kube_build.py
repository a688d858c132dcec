"""A job on a Kubernetes queue whose image is built in the cluster: the agent has no Docker Engine."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest
from cluster.builder import push_base, push_builder
from cluster.layout import NODES, find_layout
from infrastructure.cluster import Cluster
from kube import KubeRoad
from walking import Road

from blocks import Registry as RegistryBlock
from launch_jobs.build.kubernetes_manifest import LABEL
from launch_jobs.capture.source import snapshot_source
from launch_jobs.job import Entrypoint, Job, JobVersion
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio

IDENTITY = ["-c", "user.name=t", "-c", "user.email=t@example.com"]


def _git_job(road: Road, folder: Path, script: str) -> JobVersion:
    """Of a repository with a change that is not committed."""
    repository = folder / "repository"
    repository.mkdir()
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first", "--allow-empty"]):
        subprocess.run(["git", *IDENTITY, *command], cwd=repository, check=True)
    (repository / "run.sh").write_text(script)
    with snapshot_source(repository, road.store) as snapshot:
        job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=("sh", "run.sh")))
        return road.store.add(f"built-{road.mark}", job, snapshot.origin)


async def test_a_run_s_image_is_built_in_the_cluster(
    road: Road, own_cluster: Cluster, k8s_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pushed, pulled by a node and run; the build told its steps in the agent's log; nothing of it is left."""
    layout = find_layout()
    registry = f"{NODES[0].address}:{layout.registry_port.read_text()}"
    monkeypatch.setenv("KUBECONFIG", str(own_cluster.kubeconfig))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", push_base(layout, registry))
    monkeypatch.delenv("LAUNCH_JOBS_CA_BUNDLE", raising=False)
    block, kube = f"registry-{uuid.uuid4().hex[:8]}", KubeRoad(road, own_cluster, k8s_namespace)
    await RegistryBlock.model_validate({"address": registry, "namespace": k8s_namespace}).asave(block)
    table = f'[kubernetes_builder]\nimage = "{push_builder(layout, registry)}"\nplain_http = ["{registry}"]\n'
    file = road.home / "agent.toml"
    file.touch(mode=0o600)
    file.write_text(f'builder = "kubernetes"\n{table}')
    await kube.make_queue(registry=block, outputs_image=own_cluster.base_image)
    run = await road.submit(_git_job(road, tmp_path, "echo built; id -u"), kube.queue)
    info = await road.end(run)
    assert (info.state, info.exit_code) == (RunState.COMPLETED, 0), info.reason
    assert (info.image or "").startswith(f"{registry}/{k8s_namespace}/job@sha256:")
    assert await kube.log(run) == ["built", "1000"]
    assert "Step 1/" in road.agents[0].log.read_text()
    await road.until_true(lambda: not kube.kubectl("get", "jobs,pods,secrets", "-l", LABEL, "-o", "name"))
