"""The test cluster itself: what tests on it rely on happens as on any Kubernetes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
from cluster.layout import find_layout
from infrastructure.cluster import Cluster
from infrastructure.pod_door import door_for_pods

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """A namespace, and what is done in it."""

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments)

    def pod(self, name: str, *command: str, **spec: Any) -> Manifest:
        """A pod of the base image, that runs once; `limits` are its container's."""
        container: Manifest = {
            "name": "main",
            "image": spec.pop("image", self.cluster.base_image),
            "command": [*command] or ["sleep", "600"],
            "resources": {"limits": spec.pop("limits", {})},
        }
        metadata = {"name": name, "namespace": self.name, "labels": {"app": name}}
        fixed = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": fixed | spec}

    def job(self, name: str, *command: str) -> Manifest:
        """A Job of one such pod."""
        pod = self.pod(name, *command)
        spec = {"backoffLimit": 0, "template": {"spec": pod["spec"]}}
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}

    def wait(self, what: str, path: str, value: str) -> None:
        """Wait until an object's JSON path has a value."""
        self.kubectl("wait", what, f"--for=jsonpath={{{path}}}={value}", "--timeout=90s")


@pytest.fixture
def space(cluster: Cluster, k8s_namespace: str) -> Space:
    """An empty namespace."""
    return Space(cluster, k8s_namespace)


def test_api_is_healthy(cluster: Cluster) -> None:
    """The API server and what it depends on say so themselves."""
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_pod_runs_and_its_log_is_read(space: Space) -> None:
    """A pod of the base image runs Python, and its output comes back through the kubelet."""
    space.cluster.apply(space.pod("hello", "python3", "-c", "print(6 * 7)"))
    space.wait("pod/hello", ".status.phase", "Succeeded")
    assert space.kubectl("logs", "hello") == "42\n"


def test_job_completes(space: Space) -> None:
    """The controllers see a Job through."""
    space.cluster.apply(space.job("good", "true"))
    space.kubectl("wait", "job/good", "--for=condition=Complete", "--timeout=90s")


def test_job_fails_with_its_exit_code(space: Space) -> None:
    """A program's exit code stands in its pod's status."""
    space.cluster.apply(space.job("bad", "sh", "-c", "exit 3"))
    space.kubectl("wait", "job/bad", "--for=condition=Failed", "--timeout=90s")
    [pod] = space.cluster.get(f"--namespace={space.name}", "pods", "-l", "job-name=bad")["items"]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_gpus_are_counted(own_cluster: Cluster, space: Space) -> None:
    """Two GPUs are found, on the node that has that product; five are not, and the scheduler says why."""
    wanted = {"nvidia.com/gpu.product": "NVIDIA-L4"}
    own_cluster.apply(
        space.pod("two", limits={"nvidia.com/gpu": "2"}, nodeSelector=wanted),
        space.pod("five", limits={"nvidia.com/gpu": "5"}),
    )
    space.wait("pod/two", ".status.phase", "Running")
    space.wait("pod/five", '.status.conditions[?(@.type=="PodScheduled")].reason', "Unschedulable")
    two, five = own_cluster.get(f"--namespace={space.name}", "pod/two", "pod/five")["items"]
    assert two["spec"]["nodeName"] == "launch-b"
    assert "Insufficient nvidia.com/gpu" in five["status"]["conditions"][0]["message"]


def test_image_that_does_not_exist(own_cluster: Cluster, space: Space) -> None:
    """The registry's no becomes the kubelet's reasons."""
    registry = f"127.0.0.1:{find_layout().registry_port.read_text()}"
    own_cluster.apply(space.pod("lost", image=f"{registry}/nowhere:1"))
    space.wait("pod/lost", ".status.containerStatuses[0].state.waiting.reason", "ImagePullBackOff")
    assert "ErrImagePull" in space.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")


def test_image_of_the_registry_runs(own_cluster: Cluster, space: Space, docker_base: str) -> None:
    """What a Docker Engine pushes to the registry, a node pulls by the same name."""
    layout = find_layout()
    image = f"127.0.0.1:{layout.registry_port.read_text()}/{space.name}:1"
    archive = str(layout.programs / "pause.tar")
    for command in (["import", archive, image], ["push", "--quiet", image], ["rmi", image]):
        subprocess.run(["docker", *command], check=True, capture_output=True)
    own_cluster.apply(space.pod("pushed", "/pause", image=image))
    space.wait("pod/pushed", ".status.phase", "Running")


def test_out_of_memory(space: Space) -> None:
    """A program over its limit is ended by the kernel, and Kubernetes says so."""
    space.cluster.apply(space.pod("big", "python3", "-c", "x = b'x' * 10**9", limits={"memory": "64Mi"}))
    space.wait("pod/big", ".status.phase", "Failed")
    ended = space.cluster.get(f"--namespace={space.name}", "pod/big")["status"]["containerStatuses"][0]["state"]
    assert (ended["terminated"]["reason"], ended["terminated"]["exitCode"]) == ("OOMKilled", 137)


ASK_THE_API = """
import pathlib, ssl, urllib.request
account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
request = urllib.request.Request("https://kubernetes.default.svc.cluster.local/version")
request.add_header("Authorization", "Bearer " + (account / "token").read_text())
context = ssl.create_default_context(cafile=account / "ca.crt")
print(urllib.request.urlopen(request, context=context, timeout=20).status)
"""


def test_pod_reaches_the_api(space: Space) -> None:
    """Names, service addresses and service accounts' tokens work in a pod, as an agent there needs them."""
    space.cluster.apply(space.pod("inside", "python3", "-c", ASK_THE_API))
    space.wait("pod/inside", ".status.phase", "Succeeded")
    assert space.kubectl("logs", "inside") == "200\n"


def test_pod_reaches_a_server_of_this_host(own_cluster: Cluster, space: Space, s3_server: str) -> None:
    """What listens on loopback only has a door for pods."""
    with door_for_pods(int(s3_server.rsplit(":", 1)[1])) as address:
        ask = f"import urllib.request; print(urllib.request.urlopen('http://{address}/', timeout=20).status)"
        own_cluster.apply(space.pod("asking", "python3", "-c", ask))
        space.wait("pod/asking", ".status.phase", "Succeeded")
    assert space.kubectl("logs", "asking") == "200\n"


def test_pods_of_two_nodes_talk(own_cluster: Cluster, space: Space) -> None:
    """A pod finds another on the other node by the name that a headless service gives it."""
    server = space.pod("server", "python3", "-m", "http.server", "8000", nodeName="launch-b", hostname="rank-0")
    server["spec"]["subdomain"] = "ranks"
    spec = {"clusterIP": "None", "selector": {"app": "server"}, "ports": [{"port": 8000}]}
    metadata = {"name": "ranks", "namespace": space.name}
    own_cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, server)
    space.wait("pod/server", ".status.phase", "Running")
    space.kubectl("wait", "pod/server", "--for=condition=Ready", "--timeout=60s")
    url = f"http://rank-0.ranks.{space.name}.svc:8000/etc/debian_version"
    ask = f"""
import time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen({url!r}, timeout=10).status)
        break
    except OSError:
        time.sleep(0.2)
"""
    own_cluster.apply(space.pod("client", "python3", "-c", ask, nodeName="launch-a"))
    space.wait("pod/client", ".status.phase", "Succeeded")
    assert space.kubectl("logs", "client") == "200\n"


def test_deletion_leaves_nothing(space: Space) -> None:
    """With its owner a pod goes, too; foreground deletion waits for it."""
    space.cluster.apply(space.job("long", "sleep", "600"))
    space.wait("job/long", ".status.ready", "1")
    space.kubectl("delete", "job/long", "--cascade=foreground", "--timeout=60s")
    assert space.cluster.get(f"--namespace={space.name}", "pods,jobs")["items"] == []


def test_eviction_is_not_a_failure(space: Space) -> None:
    """An evicted pod has the condition by which Kubernetes, and we, tell disruptions from failures."""
    job = space.job("victim", "sleep", "600")
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    job["spec"]["podFailurePolicy"] = {"rules": [rule]}
    space.cluster.apply(job)
    space.wait("job/victim", ".status.ready", "1")
    pod = space.kubectl("get", "pods", "-o", "name").strip().removeprefix("pod/")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
    path = f"/api/v1/namespaces/{space.name}/pods/{pod}/eviction"
    space.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    space.kubectl("wait", f"pod/{pod}", "--for=delete", "--timeout=60s")
    space.wait("job/victim", ".status.ready", "1")
    assert space.cluster.get(f"--namespace={space.name}", "job/victim")["status"].get("failed", 0) == 0
