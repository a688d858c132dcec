"""The control of F16: the stock worker of prefect-kubernetes, when the reply to its create is lost. It makes two Jobs.

PYTHONPATH=tests .venv/bin/python tests/kubernetes/stock_create.py
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager

from cluster.layout import find_layout
from cluster.programs import tools
from faults.fault_proxy import Rule, proxy_to
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect_kubernetes.credentials import KubernetesClusterConfig
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from launch_jobs.job import JsonObject

_CONFIG: JsonObject = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "it",
    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    "users": [{"name": "it", "user": {}}],
}


def kubectl(*arguments: str) -> list[str]:
    """A command to the cluster of the tests."""
    layout = find_layout()
    return [str(tools(layout) / "kubectl"), "--kubeconfig", str(layout.kubeconfig), *arguments]


@contextmanager
def namespace() -> Generator[str]:
    """A namespace for a while."""
    name = f"stock-{uuid.uuid4().hex[:8]}"
    subprocess.run(kubectl("create", "namespace", name), check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(kubectl("delete", "namespace", name, "--wait=false"), check=True, capture_output=True)


@contextmanager
def door() -> Generator[str]:
    """The API server without TLS, as a socket."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/api"
        with subprocess.Popen(
            kubectl("proxy", f"--unix-socket={socket}"), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            process.stdout.readline()
            yield socket
            process.terminate()


async def create(where: str, socket: str) -> None:
    """Have the stock worker make the Job of one run."""
    async with proxy_to(socket) as proxy:
        proxy.rules.append(Rule(r"POST .*/jobs", "drop"))
        server = {"name": "it", "cluster": {"server": f"http://{proxy.address}"}}
        cluster = KubernetesClusterConfig.model_validate(
            {"config": {**_CONFIG, "clusters": [server]}, "context_name": "it"}
        )
        values = {"namespace": where, "image": "127.0.0.1:1/none:1", "cluster_config": cluster, "command": "true"}
        template = KubernetesWorker.get_default_base_job_template()
        configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(template, values)
        run = FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="one")
        configuration.prepare_for_flow_run(run)
        await KubernetesWorker("stock").run(run, configuration)


def main() -> None:
    """Play it, and say what came of it."""
    with namespace() as where, door() as socket, temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        asyncio.run(create(where, socket))
        told = kubectl("get", "jobs", f"--namespace={where}", "-o", "name")
        number = len(subprocess.run(told, check=True, capture_output=True, text=True).stdout.split())
    print(f"F16, stock prefect-kubernetes worker: 1 run, its create's reply lost once: {number} Jobs")


if __name__ == "__main__":
    main()
