"""The cluster that is measured on: namespaces of our own, an image on its nodes, a door that counts requests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.stage import Relay, Stage

_CLUSTER = Path(__file__).parent.parent.parent / "scripts" / "cluster"
_START_S = "60s"
_GONE_S = "300s"


@dataclass(frozen=True)
class Space:
    """A namespace.

    Attributes:
        name: of it.
    """

    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        return kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    async def create_job(self, name: str, image: str, command: tuple[str, ...]) -> None:
        """`kubectl create job`."""
        words = ["kubectl", f"--namespace={self.name}", "create", "job", name, f"--image={image}", "--", *command]
        process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL)
        if code := await process.wait():
            raise RuntimeError(f"kubectl create job ends with {code}")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints; what it says of its trouble is seen."""
    return subprocess.run(["kubectl", *arguments], input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextmanager
def space(name: str, *, is_awaited: bool = True) -> Generator[Space]:
    """A namespace that is there, and goes afterwards with all that is in it.

    Args:
        name: of it.
        is_awaited: until it is gone, so that what comes next is not measured beside what still goes.
    """
    made = Space(name)
    kubectl("create", "namespace", name)
    try:
        made.kubectl("wait", "--for=create", "serviceaccount/default", f"--timeout={_START_S}")
        yield made
    finally:
        kubectl("delete", "namespace", name, f"--timeout={_GONE_S}" if is_awaited else "--wait=false")


def check_cluster() -> str:
    """The version of the cluster of KUBECONFIG.

    Raises:
        SystemExit: none is named.
    """
    if "KUBECONFIG" not in os.environ:
        sys.exit('No cluster: make cluster; eval "$(scripts/cluster env)"')
    return str(json.loads(kubectl("version", "--output=json"))["serverVersion"]["gitVersion"])


def host_for_pods() -> str:
    """This machine's address for pods.

    Raises:
        SystemExit: nobody says.
    """
    if found := os.environ.get("LAUNCH_JOBS_CLUSTER_HOST"):
        return found
    sys.exit("LAUNCH_JOBS_CLUSTER_HOST is not set: the address at which the cluster's pods reach this machine")


def ensure_image(image: str) -> None:
    """See to it that all nodes have an image that the Docker Engine has."""
    nodes = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    if all(_has(node, image) for node in nodes):
        return
    print(f"Giving the nodes {image}", file=sys.stderr)
    subprocess.run([str(_CLUSTER), "import", image], check=True, stdout=sys.stderr)


def _has(node: dict[str, dict[str, list[dict[str, list[str]]]]], image: str) -> bool:
    names = [name for one in node["status"].get("images", []) for name in one.get("names", [])]
    return any(name.endswith(image) for name in names)


@contextmanager
def counted_api(stage: Stage) -> Generator[tuple[Relay, Path]]:
    """A door to the API server that counts requests, and the kubeconfig of whoever goes through it."""
    with ExitStack() as stack:
        relay = stack.enter_context(stage.another_relay(_start_proxy(stack)))
        file = stage.settings.home / f"counted-{relay.port}.json"
        context = {"cluster": "counted", "user": "counted"}
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "counted", "cluster": {"server": f"http://127.0.0.1:{relay.port}"}}],
            "users": [{"name": "counted", "user": {}}],
            "contexts": [{"name": "counted", "context": context}],
            "current-context": "counted",
        }
        file.write_text(json.dumps(config))
        yield relay, file


def _start_proxy(stack: ExitStack) -> int:
    """`kubectl proxy`: TLS ends there, so that requests can be counted. It takes exec, too."""
    command = ["kubectl", "proxy", "--port=0", "--reject-paths=^$"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout
    return int(process.stdout.readline().rpartition(":")[2])  # Starting to serve on 127.0.0.1:43521
