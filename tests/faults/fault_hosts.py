"""Hosts of the campaign: network namespaces with one link to us, whose firewall cuts it in one direction or both.

A proxy breaks connections that it sees; a firewall drops packets, so that neither side learns anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from fault_proxy import FaultProxy, proxy_to

Way = Literal["out", "in", "both"]
_CHAINS = {"out": ("OUTPUT",), "in": ("INPUT",), "both": ("OUTPUT", "INPUT")}
_TRIES = 64


def are_possible() -> bool:
    """Whether this process may make network namespaces."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "iptables")):
        return False
    name = f"lj-{uuid.uuid4().hex[:8]}"
    made = _tried("ip", "netns", "add", name) and _tried("ip", "netns", "exec", name, "iptables", "-L", "-n")
    _tried("ip", "netns", "del", name)
    return made


@dataclass
class Host:
    """A network namespace.

    Attributes:
        name: its name.
        api: what is the API there; a proxy of its own.
    """

    name: str
    api: FaultProxy

    @property
    def under(self) -> tuple[str, ...]:
        """What starts a command there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self, way: Way) -> None:
        """Drop all packets from now on."""
        for chain in _CHAINS[way]:
            self._firewall("-I", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP")

    def lose(self, share: float) -> None:
        """Drop this share of the packets, in both directions."""
        for chain in _CHAINS["both"]:
            self._firewall(
                *("-I", chain, "!", "-i" if chain == "INPUT" else "-o", "lo"),
                *("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"),
            )

    def heal(self) -> None:
        """Drop nothing any more."""
        self._firewall("-F")

    def _firewall(self, *words: str) -> None:
        _run(*self.under, "iptables", *words)


@asynccontextmanager
async def host_before(upstream: str) -> AsyncGenerator[Host]:
    """A host of its own, on which a proxy to `upstream`, a port of our loopback address, can be reached."""
    name = f"lj-{uuid.uuid4().hex[:8]}"
    _run("ip", "netns", "add", name)
    try:
        address = _linked(name)
        async with proxy_to(upstream, at=address) as proxy:
            yield Host(name, proxy)
    finally:
        _run("ip", "netns", "del", name)  # its link goes with it


def _linked(name: str) -> str:
    """Link a namespace to us by a pair of interfaces; our address on it."""
    ours, theirs = f"{name}h", f"{name}n"
    _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
    network = _free_network()
    _run("ip", "addr", "add", f"{network}.1/30", "dev", ours)
    _run("ip", "link", "set", ours, "up")
    for words in (
        ("addr", "add", f"{network}.2/30", "dev", theirs),
        ("link", "set", theirs, "up"),
        ("link", "set", "lo", "up"),
    ):
        _run("ip", "-n", name, *words)
    return f"{network}.1"


def _free_network() -> str:
    """The first three numbers of a network that no interface here has."""
    used = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True).stdout
    return next(f"10.229.{n}" for n in range(_TRIES) if f"10.229.{n}." not in used)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _tried(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
