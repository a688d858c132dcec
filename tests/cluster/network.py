"""The cables of the test cluster on this host: a bridge, one cable a node, and the rules that let packets pass."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.commands import ClusterError, run
from cluster.layout import BRIDGE, HOST_ADDRESS, NETWORK, NODES, SERVICES, Node

_COMMENT = ("-m", "comment", "--comment", BRIDGE)
_RULES = (
    # Docker drops what is forwarded and not its own.
    ("filter", "FORWARD", "-i", BRIDGE, *_COMMENT, "-j", "ACCEPT"),
    ("filter", "FORWARD", "-o", BRIDGE, *_COMMENT, "-j", "ACCEPT"),
    ("nat", "POSTROUTING", "-s", f"{NETWORK}.0.0/16", "!", "-o", BRIDGE, *_COMMENT, "-j", "MASQUERADE"),
)


def lay_bridge() -> None:
    """Make the bridge, and let pods reach what this host reaches."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST_ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for table, chain, *rule in _RULES:
        run("iptables", "-w", "-t", table, "-I", chain, *rule)
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    if forwarding.read_text().strip() != "1":
        forwarding.write_text("1")


def plug_in(node: Node, pid: int) -> None:
    """Give a node, known by its first process, its cable, addresses and routes."""
    cable = ["ip", "link", "add", node.interface, "type", "veth", "peer", "name", "eth0"]
    run(*cable, "netns", str(pid))
    run("ip", "link", "set", node.interface, "master", BRIDGE, "up")
    commands = [
        ["address", "add", f"{node.address}/24", "dev", "eth0"],
        ["link", "set", "lo", "up"],
        ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", HOST_ADDRESS],
        *(["route", "add", other.pods, "via", other.address] for other in NODES if other is not node),
    ]
    for command in commands:
        run("nsenter", "--target", str(pid), "--net", "ip", *command)
    run("nsenter", "--target", str(pid), "--net", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    run("ip", "route", "add", node.pods, "via", node.address)
    if node is NODES[0]:
        run("ip", "route", "add", SERVICES, "via", node.address)


def unplug() -> None:
    """Take everything away; what is not there is not missed."""
    while left := rules():
        for table, chain, *rule in left:
            run("iptables", "-w", "-t", table, "-D", chain, *rule)
    for name in interfaces():
        run("ip", "link", "delete", name, check=False)


def interfaces() -> list[str]:
    """The bridge and the cables that are there."""
    links = json.loads(run("ip", "-json", "link"))
    return [link["ifname"] for link in links if link["ifname"].startswith(BRIDGE)]


def rules() -> list[tuple[str, ...]]:
    """Those of `_RULES` that are there."""
    return [rule for rule in _RULES if _has(*rule)]


def _has(table: str, chain: str, *rule: str) -> bool:
    try:
        run("iptables", "-w", "-t", table, "-C", chain, *rule)
    except ClusterError:
        return False
    return True
