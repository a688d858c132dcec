"""Names, addresses and folders of the test cluster: what its other modules agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "launch-k8s"
"""Of this host: the nodes' network interfaces are plugged into it."""

CGROUP = "launch-cluster"
"""The cgroup, in every hierarchy, above those of all pods."""

TREE = Path(__file__).parent.parent.parent

INSIDE = Path("/run/cluster")
"""Where a node sees the cluster's folder."""

NETWORK = os.environ.get("LAUNCH_JOBS_CLUSTER_NETWORK", "10.213")
"""First two numbers of every address; another where this host's network has these."""

HOST_ADDRESS = f"{NETWORK}.0.1"
SERVICES = f"{NETWORK}.128.0/24"
FIRST_SERVICE = f"{NETWORK}.128.1"
PODS = f"{NETWORK}.16.0/20"
API_PORT = 6443


@dataclass(frozen=True)
class Gpu:
    """What a node claims to have.

    Attributes:
        product: value of the label `nvidia.com/gpu.product`.
        count: of the extended resource `nvidia.com/gpu`.
    """

    product: str
    count: int


@dataclass(frozen=True)
class Node:
    """One node: namespaces of its own (network, mounts, processes) on this host.

    Attributes:
        name: of the Kubernetes node.
        number: its place among the nodes; the first one has the control plane, too.
        gpu: its simulated GPUs.
    """

    name: str
    number: int
    gpu: Gpu

    @property
    def address(self) -> str:
        """On the bridge."""
        return f"{NETWORK}.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The subnet of its pods."""
        return f"{NETWORK}.{16 + self.number}.0/24"

    @property
    def gateway(self) -> str:
        """Its own address among its pods."""
        return f"{NETWORK}.{16 + self.number}.1"

    @property
    def interface(self) -> str:
        """This host's end of its cable."""
        return f"{BRIDGE}-{self.number}"

    @property
    def inside(self) -> Path:
        """Its folder, as it sees it."""
        return INSIDE / "run" / self.name

    @property
    def cgroup(self) -> str:
        """The cgroup of its pods."""
        return f"/{CGROUP}/{self.name}"


NODES = (Node("launch-a", 0, Gpu("NVIDIA-A100-SXM4-80GB", 4)), Node("launch-b", 1, Gpu("NVIDIA-L4", 2)))
API_ADDRESS = NODES[0].address
API = f"https://{API_ADDRESS}:{API_PORT}"


@dataclass(frozen=True)
class Layout:
    """The cluster's folders, outside the tree.

    Attributes:
        home: all of it; programs and caches stay there between starts.
    """

    home: Path

    @property
    def programs(self) -> Path:
        """A link to the folder of the programs that the cluster runs."""
        return self.home / "programs"

    @property
    def run(self) -> Path:
        """What one start makes: gone after the stop."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One file a part, until the next start."""
        return self.home / "logs"

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self.run / "kubeconfig"

    @property
    def registry_port(self) -> Path:
        """File with the port of the local registry, the same on this host and on every node."""
        return self.run / "registry-port"

    def of(self, node: Node) -> Path:
        """A node's folder, as this host sees it."""
        return self.run / node.name


def find_layout() -> Layout:
    """The folders of this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Layout(Path(cache) / "launch-jobs" / "cluster")
