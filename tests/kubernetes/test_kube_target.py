"""The Kubernetes target against the real API server, without agents: creation, adoption, refusals, streams."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from infrastructure.cluster import Cluster

from launch_jobs.cluster import ClusterAccess, Forbidden
from launch_jobs.errors import BadInput, Refused
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.target import KubernetesTarget
from launch_jobs.targets.render import Attempt, render_kubernetes

pytestmark = pytest.mark.anyio


@pytest.fixture
async def target(cluster: Cluster) -> AsyncGenerator[KubernetesTarget]:
    """As the administrator."""
    made = KubernetesTarget(_access(cluster))
    yield made
    await made.close()


def _access(cluster: Cluster, **user: str) -> ClusterAccess:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    if user:
        config["users"] = [{"name": one["name"], "user": user} for one in config["users"]]
    return ClusterAccess(config)


def _spec(cluster: Cluster, namespace: str, script: str, **attempt: object) -> RunSpec:
    return render_kubernetes(
        Attempt(
            run_id=str(uuid.uuid4()),
            number=1,
            job="job@sha256:0",
            queue="q",
            image=cluster.base_image,
            command=("sh", "-c", script),
            **attempt,  # pyright: ignore[reportArgumentType] # of the dataclass's own fields
        ),
        KubernetesConfiguration(namespace=namespace),
        load_kinds(),
    )


async def test_two_agents_make_one_object(cluster: Cluster, k8s_namespace: str, target: KubernetesTarget) -> None:
    """And both adopt it; so does who repeats a call whose answer was lost."""
    spec, other = _spec(cluster, k8s_namespace, "true"), KubernetesTarget(_access(cluster))
    await asyncio.gather(*(one.ensure(spec) for one in (target, other) * 5))
    jobs = cluster.get(f"--namespace={k8s_namespace}", "jobs")["items"]
    await other.close()
    assert [job["metadata"]["name"] for job in jobs] == [spec.name]
    assert jobs[0]["spec"]["backoffLimit"] == 0


async def test_what_somebody_else_made_is_left_alone(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget
) -> None:
    """A Job of that name without our label is refused, and stays."""
    spec = _spec(cluster, k8s_namespace, "true")
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": cluster.base_image, "command": ["true"]}]}
    metadata = {"name": spec.name, "namespace": k8s_namespace}
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}
    cluster.apply(document)
    with pytest.raises(Refused, match="is none of ours"):
        await target.ensure(spec)
    assert cluster.get(f"--namespace={k8s_namespace}", f"job/{spec.name}")


async def test_a_namespace_that_is_not_there(cluster: Cluster, target: KubernetesTarget) -> None:
    """Is told by its name."""
    with pytest.raises(BadInput, match="no-such-place"):
        await target.ensure(_spec(cluster, "no-such-place", "true"))


async def test_a_missing_right_is_told_as_the_rule_that_gives_it(cluster: Cluster, k8s_namespace: str) -> None:
    """In the words of a Role."""
    token = cluster.kubectl("create", "token", "default", f"--namespace={k8s_namespace}").strip()
    target = KubernetesTarget(_access(cluster, token=token))
    system = '{"apiGroups":[""],"resources":["namespaces"],"resourceNames":["kube-system"],"verbs":["get"]}'
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": k8s_namespace}}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": k8s_namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": k8s_namespace}
    binding = {**role, "kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference}
    cluster.apply({**role, "rules": [json.loads(system)]}, binding)
    try:
        with pytest.raises(Forbidden, match=r'resources: \["jobs"\], verbs: \["create", "get", .*"pods/exec"'):
            await target.ensure(_spec(cluster, k8s_namespace, "true"))
    finally:
        await target.close()
        with suppress(AssertionError):
            cluster.kubectl("delete", "clusterrole,clusterrolebinding", k8s_namespace)


async def test_files_beside_the_source_come_home(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """Those written since the start, with the program's exit code and its whole log."""
    script = "echo 1 > new; echo 2 > $LAUNCH_OUTPUT_DIR/out; echo said; exit 5"
    spec = _spec(cluster, k8s_namespace, script, root="/tmp", directory="/tmp", collect=None)
    await target.ensure(spec)
    place = await target.place_of(spec)
    printed = b"".join([chunk.data async for chunk in target.logs(place, None)])
    status = await target.status(place)
    assert status is not None
    assert (printed, status.state, status.exit_code) == (b"said\n", "exited", 5)
    assert await target.collect(place, spec, tmp_path) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "out"]  # noqa: ASYNC240 # a test may wait
    await target.remove(place)


async def test_ranks_of_an_indexed_job_are_told_apart(
    cluster: Cluster, k8s_namespace: str, target: KubernetesTarget, tmp_path: Path
) -> None:
    """In the log and in the outputs."""
    spec = _spec(cluster, k8s_namespace, "echo $JOB_COMPLETION_INDEX | tee $LAUNCH_OUTPUT_DIR/rank")
    manifest = json.loads(json.dumps(spec.manifest))
    manifest["spec"] |= {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    spec = spec.model_copy(update={"manifest": manifest})
    await target.ensure(spec)
    place = await target.place_of(spec)
    printed = b"".join([chunk.data async for chunk in target.logs(place, None)])
    await target.collect(place, spec, tmp_path)
    await target.remove(place)
    assert sorted(printed.splitlines()) == [b"[0] 0", b"[1] 1"]
    assert ((tmp_path / "rank").read_text(), (tmp_path / "rank-1" / "rank").read_text()) == ("0\n", "1\n")
