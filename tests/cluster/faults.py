"""Ends one part of a node, for tests of what then happens: an API server that is away, a node that is lost."""

from __future__ import annotations

from cluster import host
from cluster.commands import ClusterError, run
from cluster.layout import NODES, Layout, Node


def find_node(name: str) -> Node:
    """The node of that name."""
    for node in NODES:
        if node.name == name:
            return node
    raise ClusterError(f"no node {name}: there are {', '.join(node.name for node in NODES)}")


def kill(layout: Layout, node: Node, part: str) -> None:
    """Kill a part, such as `kube-apiserver`; after a second it is started again."""
    first = host.first_process(layout, node)
    pid = (layout.of(node) / "pids" / part).read_text()
    run("nsenter", "--target", str(first), "--pid", "--mount", "kill", "-KILL", pid)


def hold(layout: Layout, node: Node, part: str) -> None:
    """Kill a part, and keep it away until `release`."""
    (layout.of(node) / "hold" / part).touch()
    kill(layout, node, part)


def release(layout: Layout, node: Node, part: str) -> None:
    """Let a part that is held be started again."""
    (layout.of(node) / "hold" / part).unlink(missing_ok=True)
