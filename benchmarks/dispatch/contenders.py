"""Those who are compared: each submits one no-op run, and says which agent serves its queue."""

from __future__ import annotations

import asyncio
import platform
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect import get_client

from benchmarks.contending import NOOP, Contender
from benchmarks.stage import Stage
from benchmarks.stock import stock_deployment, stock_worker
from launch_jobs.capture.source import snapshot_source
from launch_jobs.job import Entrypoint, Environment, Job, JobVersion
from launch_jobs.queue import create_queue
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.submission import Submission, submit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def stock(stage: Stage, name: str, **environment: str) -> AsyncGenerator[Contender]:
    """A stock prefect-docker worker: the flow runs in the container."""
    pool = stage.queue(name)
    async with get_client() as client:
        deployment = await stock_deployment(client, pool, "noop")

        async def enqueue() -> UUID:
            return (await client.create_flow_run_from_deployment(deployment)).id

        yield Contender(name, stock_worker(pool), enqueue, environment)


def _capture(store: JobStore, folder: Path) -> JobVersion:
    """The no-op job as a captured one: a folder of code and a Python environment, from which an image is built."""
    folder.mkdir()
    (folder / "README").write_text("Nothing to see.")
    with snapshot_source(folder, store) as snapshot:
        environment = Environment(python=platform.python_version())
        job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=NOOP), environment=environment)
        return store.add("noop", job, snapshot.origin)


@asynccontextmanager
async def ours(stage: Stage) -> AsyncGenerator[Contender]:
    """Our agent on a docker queue: the flow runs in the agent, the container needs no Prefect."""
    store, steps = open_store(stage.settings.store_url), stage.settings.home / "steps.json"
    version = await asyncio.to_thread(_capture, store, stage.settings.home / "noop")
    queue = stage.queue("ours")
    await create_queue(queue, "docker")

    async def enqueue() -> UUID:
        return (await submit(Submission(job=version.reference, queue=queue), store)).id

    agent = [sys.executable, "-m", "benchmarks.dispatch.agent", str(steps), queue]
    yield Contender("ours", agent, enqueue, steps=steps)
