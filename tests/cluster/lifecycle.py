"""Starts and stops the test cluster."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from cluster import configuration, host, images, network
from cluster.api import open_api, wait_for
from cluster.certificates import make_certificates
from cluster.commands import ClusterError
from cluster.layout import NODES, Layout, Node
from cluster.programs import see_to_programs

_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
_FIRST_PORT = 25_000


def is_running(layout: Layout) -> bool:
    """Whether the cluster is up and answers."""
    return bool(host.processes_of(layout)) and layout.kubeconfig.exists() and open_api(layout).is_ready()


def start(layout: Layout) -> None:
    """Start the cluster, unless it runs; return when nodes are ready and the base image is there."""
    if is_running(layout):
        return
    see_to_programs(layout)
    stop(layout)
    begin = time.monotonic()
    print(f"Starting the cluster (logs: {layout.logs})", flush=True)
    try:
        _prepare(layout)
        _start_registry(layout)
        network.lay_bridge()
        for node in NODES:
            _start_node(layout, node)
        _wait(layout)
    except BaseException:
        stop(layout)
        raise
    print(f"The cluster is ready, after {time.monotonic() - begin:.0f} s", flush=True)


def stop(layout: Layout) -> None:
    """Stop whatever is left of the cluster; programs, caches and logs stay."""
    host.end_processes(layout)
    network.unplug()
    host.remove_cgroups()
    host.restore_settings(layout)
    if layout.run.exists():
        shutil.rmtree(layout.run)


def leftovers(layout: Layout) -> list[str]:
    """What there is of the cluster on this host, in words."""
    return [
        *(f"process {pid}" for pid in host.processes_of(layout)),
        *(f"network interface {name}" for name in network.interfaces()),
        *(f"iptables rule {' '.join(rule)}" for rule in network.rules()),
        *(f"cgroup {folder}" for folder in host.cgroups()),
    ]


def import_image(layout: Layout, reference: str) -> None:
    """Give all nodes an image that the Docker Engine has."""
    for node in NODES:
        images.import_from_docker(layout, node, reference)


def _prepare(layout: Layout) -> None:
    layout.run.mkdir(parents=True, mode=0o755)
    layout.logs.mkdir(exist_ok=True)
    for log in layout.logs.glob("launch-*.log"):
        log.unlink()
    make_certificates(layout.run / "keys")
    (layout.run / "resolv.conf").write_text(_resolver())
    seeded = images.seed(layout)
    port = _free_port()
    layout.registry_port.write_text(str(port))
    for node in NODES:
        for name, text in configuration.files(node, port).items():
            path = layout.of(node) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        images.plant(seeded, layout.of(node) / "containerd")
    host.remember_settings(layout)
    host.make_cgroups()
    shutil.copy(layout.run / "keys" / "admin.kubeconfig", layout.kubeconfig)
    layout.kubeconfig.chmod(0o600)


def _resolver() -> str:
    """This host's name servers, those behind a stub that only this host reaches."""
    stub, behind = Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")
    text = stub.read_text()
    return behind.read_text() if "nameserver 127." in text and behind.exists() else text


def _free_port() -> int:
    for port in range(_FIRST_PORT, _FIRST_PORT + 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ClusterError("no free port for the registry")


def _start_registry(layout: Layout) -> None:
    """On this host's loopback, where a Docker Engine trusts it; the nodes have others over the same folder."""
    address = f"127.0.0.1:{layout.registry_port.read_text()}"
    path = layout.run / "registry-of-host.yml"
    path.write_text(configuration.registry_configuration(address, layout.run / "registry"))
    host.start_detached(["docker-registry", "serve", str(path)], layout.logs / "launch-host.registry.log")


def _start_node(layout: Layout, node: Node) -> None:
    """Start the first process of a node's namespaces, plug its network in, and tell it what to start."""
    unshare = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"]
    program = [sys.executable, "-P", "-m", "cluster.node", f"{layout.run}/{node.name}"]
    process = host.start_detached([*unshare, *program], layout.logs / f"{node.name}.log", subprocess.PIPE)
    assert process.stdin
    network.plug_in(node, _first_process(process))
    order = {
        "name": node.name,
        "home": str(layout.home),
        "resolver": (layout.run / "resolv.conf").read_text(),
        "commands": configuration.parts(node),
    }
    with process.stdin as stdin:
        stdin.write(json.dumps(order).encode() + b"\n")
    process.returncode = 0  # it outlives this process


def _first_process(unshare: subprocess.Popen[bytes]) -> int:
    """The child that `unshare` makes, as this host numbers it."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    end = time.monotonic() + 30
    while unshare.poll() is None and time.monotonic() < end:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise ClusterError("this host does not give a process namespaces of its own")


def _wait(layout: Layout) -> None:
    api = open_api(layout)
    wait_for(api.is_ready, f"the API server: see {layout.logs}/{NODES[0].name}.kube-apiserver.log")
    wait_for(api.are_nodes_ready, f"the nodes: see {layout.logs}/{NODES[0].name}.kubelet.log")
