"""Our agent's memory with many runs at work on the cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import psutil

from benchmarks.agent.memory import Memory, megabytes
from benchmarks.contending import NOOP
from benchmarks.kubernetes.contenders import create_cluster_queue, image_job
from benchmarks.kubernetes.sightings import watched
from benchmarks.serving import serving
from benchmarks.watching import watcher
from launch_jobs.store.jobs import open_store
from launch_jobs.submission import Submission, submit

if TYPE_CHECKING:
    from benchmarks.kubernetes.space import Space
    from benchmarks.stage import Stage

_AT_ONCE = 10
_SETTLED_S = 5.0


async def memory(stage: Stage, space: Space, count: int) -> Memory:
    """An agent's memory after it has served one run, and with so many asleep; `runs` says how many came to run."""
    store, queue = open_store(stage.settings.store_url), stage.queue("memory")
    quick, asleep = image_job(store, "quick", NOOP), image_job(store, "asleep", ("sleep", "100000"))
    argv = await create_cluster_queue(queue, space.name)

    async def enqueue(job: str) -> UUID:
        return (await submit(Submission(job=job, queue=queue), store)).id

    async with watcher(stage) as seen, watched(space.name, "pods") as pods:
        with serving(argv, stage.settings.home / "memory.log", stage.environment) as agent:
            await seen.completed([await enqueue(quick.reference)])
            await asyncio.sleep(_SETTLED_S)
            idle = megabytes(agent)
            runs: list[str] = []
            for first in range(0, count, _AT_ONCE):
                some = range(first, min(first + _AT_ONCE, count))
                runs += map(str, await asyncio.gather(*(enqueue(asleep.reference) for _ in some)))
            await pods.have(runs)
            await asyncio.sleep(_SETTLED_S)
            at_work, threads = megabytes(agent), psutil.Process(agent.pid).num_threads()
    return Memory(idle=idle, at_work=at_work, runs=pods.count(runs), threads=threads)
