"""A dataset on its way through `launch submit` to a pod: one run's outputs are another's input."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from infrastructure.cluster import Cluster
from kube import KubeRoad
from walking import Road

from launch_jobs.job import Entrypoint, ImageSource, Job, Origin
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio


def _launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch_jobs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_a_run_on_the_cluster_reads_what_another_left_there(
    road: Road, cluster: Cluster, k8s_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command line; the agent keeps nothing of it, nor does the cluster."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    kube = KubeRoad(road, cluster, k8s_namespace)
    await kube.make_queue()
    left = await road.end(
        await kube.submit("mkdir $LAUNCH_OUTPUT_DIR/model; echo weights > $LAUNCH_OUTPUT_DIR/model/a")
    )
    source = ImageSource(reference=cluster.base_image)
    job = Job(source=source, entrypoint=Entrypoint(argv=("sh", "-c", "cat $LAUNCH_DATASET_MODEL/a")))
    reader = road.store.add(f"reader-{road.mark}", job, Origin()).reference
    command = ["submit", reader, "-q", kube.queue, "--dataset", f"model={left.output_url('model')}", "--json"]
    done = await asyncio.to_thread(_launch, *command)
    assert done.returncode == 0, done.stderr
    info = await road.end(str(json.loads(done.stdout)["id"]))
    assert info.state is RunState.COMPLETED, info.reason
    assert await kube.log(info.id) == ["weights"]
    assert list((road.home / "datasets").glob("*")) == []
    await road.until_true(lambda: not kube.objects())
