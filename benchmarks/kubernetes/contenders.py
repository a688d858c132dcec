"""Those who are compared, each in a namespace of its own."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from prefect import get_client
from prefect_kubernetes.worker import KubernetesWorker

from benchmarks.contending import NOOP, Contender
from benchmarks.stage import BASE_IMAGE, Stage
from benchmarks.stock import deployment_on, stock_worker
from launch_jobs.job import Entrypoint, ImageSource, Job, JobVersion, Origin
from launch_jobs.queue import create_queue
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.submission import Submission, submit
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.template import base_job_template, with_operator_fields

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def stock(stage: Stage, name: str, namespace: str, host: str, **environment: str) -> AsyncGenerator[Contender]:
    """A stock prefect-kubernetes worker: the flow runs in the pod, which reaches the server at this host."""
    pool = stage.queue(name)
    # It watches its namespace alone, not what others do on this cluster.
    own = {
        "PREFECT_API_URL": stage.relay.api_url_at(host),
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES": namespace,
    }
    async with get_client() as client:
        deployment = await deployment_on(client, (KubernetesWorker, pool), "noop", namespace=namespace)

        async def enqueue() -> UUID:
            return (await client.create_flow_run_from_deployment(deployment)).id

        yield Contender(name, stock_worker(pool, "kubernetes"), enqueue, own | environment)


def image_job(store: JobStore, name: str, command: tuple[str, ...]) -> JobVersion:
    """A job of the base image: what `kubectl create job` gets, too."""
    job = Job(source=ImageSource(reference=BASE_IMAGE), entrypoint=Entrypoint(argv=command))
    return store.add(name, job, Origin())


async def create_cluster_queue(queue: str, namespace: str) -> list[str]:
    """Make a queue whose pods are in a namespace; the command of its agent."""
    model = KubernetesConfiguration
    template = with_operator_fields(base_job_template(model), model, {"namespace": namespace})
    await create_queue(queue, "kubernetes", template=template)
    return [sys.executable, "-m", "launch_jobs", "agent", "-q", queue]


@asynccontextmanager
async def ours(stage: Stage, namespace: str) -> AsyncGenerator[Contender]:
    """Our agent on a Kubernetes queue: the flow runs in the agent, the pod needs no Prefect."""
    store, queue = open_store(stage.settings.store_url), stage.queue("ours")
    version = image_job(store, "noop", NOOP)
    agent = await create_cluster_queue(queue, namespace)

    async def enqueue() -> UUID:
        submission = Submission(job=version.reference, queue=queue)
        return (await submit(submission, store)).id

    yield Contender("ours", agent, enqueue)
