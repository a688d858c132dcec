"""The Kubernetes cluster of the tests: the one of KUBECONFIG, or the one of scripts/cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.layout import find_layout
from cluster.programs import tools
from infrastructure.plugin import BASE_IMAGE, missing


@dataclass(frozen=True)
class Cluster:
    """A cluster, as its administrator.

    Attributes:
        kubeconfig: file with address and credentials.
        program: kubectl.
        base_image: an image with Python that its nodes have, or can pull.
        is_ours: whether scripts/cluster made it: two nodes with simulated GPUs, a registry.
    """

    kubeconfig: Path
    program: str
    base_image: str
    is_ours: bool

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What kubectl prints."""
        command = [self.program, "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{arguments}: {done.stderr or done.stdout}"
        return done.stdout

    def apply(self, *documents: dict[str, Any]) -> None:
        """Create or change objects; a document without a namespace is the cluster's, or lands in `default`."""
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, documents)))

    def get(self, *arguments: str) -> Any:
        """An object, or a list of them."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A running Kubernetes cluster, one for all test processes: work in a namespace of your own."""
    layout = find_layout()
    named = os.environ.get("KUBECONFIG")
    if named and named != str(layout.kubeconfig):
        program = shutil.which("kubectl") or missing("kubectl, for the cluster of KUBECONFIG")
        return Cluster(Path(named), program, os.environ.get("LAUNCH_JOBS_BASE_IMAGE", BASE_IMAGE), is_ours=False)
    from cluster.lifecycle import is_running  # not in every test run

    if not is_running(layout):
        missing("Kubernetes cluster: start one with `make cluster`, or name one by KUBECONFIG")
    return Cluster(layout.kubeconfig, str(tools(layout) / "kubectl"), BASE_IMAGE, is_ours=True)


@pytest.fixture
def own_cluster(cluster: Cluster) -> Cluster:
    """The cluster of scripts/cluster: its nodes and GPUs are known."""
    if not cluster.is_ours:
        pytest.skip("missing part: the cluster of scripts/cluster: KUBECONFIG names another")
    return cluster


@pytest.fixture
def k8s_namespace(cluster: Cluster) -> Generator[str]:
    """A namespace of the test's own, with its service account; it goes with all that is in it."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("wait", f"--namespace={name}", "--for=create", "serviceaccount/default", "--timeout=60s")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
