"""Asks the test cluster's API server, for as long as it starts; tests use clients of their own."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.commands import ClusterError
from cluster.layout import API, NODES, Layout


@dataclass(frozen=True)
class Api:
    """The API server, as its administrator."""

    context: ssl.SSLContext

    def ask(self, path: str) -> Any:
        """GET a JSON document."""
        with urllib.request.urlopen(API + path, timeout=10, context=self.context) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        """Whether it answers, and the first objects of a cluster are there."""
        try:
            with urllib.request.urlopen(f"{API}/readyz", timeout=10, context=self.context) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def are_nodes_ready(self) -> bool:
        """Whether every node is ready for pods, and a namespace has its service account."""
        try:
            nodes = self.ask("/api/v1/nodes")["items"]
            self.ask("/api/v1/namespaces/default/serviceaccounts/default")
        except (OSError, urllib.error.URLError):
            return False
        return len(nodes) == len(NODES) and all(map(_is_ready, nodes))


def open_api(layout: Layout) -> Api:
    """Connect with the administrator's certificate."""
    keys = layout.run / "keys"
    context = ssl.create_default_context(cafile=keys / "authority.crt")
    context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    return Api(context)


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 180) -> None:
    """Ask until it is so.

    Raises:
        ClusterError: it is not so after that time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"after {seconds:.0f} s, still waiting for {what}")
        time.sleep(0.2)


def _is_ready(node: dict[str, Any]) -> bool:
    status = node["status"]
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", []))
    return ready and status["allocatable"].get("nvidia.com/gpu", "0") != "0"
