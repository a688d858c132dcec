"""When something was first seen so in a namespace, by watching it as `kubectl get --watch` does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal, cast

from launch_jobs.cluster import Cluster
from launch_jobs.errors import LaunchError
from launch_jobs.targets.kubernetes.keeper import KEEPER

Holds = Callable[[dict[str, Any]], str | None]
"""The name of what an object shows to be so; None: it does not."""

_LIMIT_S = 600.0
_WATCH_S = 3600
_RUN_LABELS = ("launch-jobs.org/run", "prefect.io/flow-run-id", "batch.kubernetes.io/job-name")


class Sightings:
    """The first moments."""

    def __init__(self, cluster: Cluster, path: str, holds: Holds) -> None:
        self._cluster, self._path, self._holds = cluster, path, holds
        self._moments: dict[str, float] = {}
        self._news = asyncio.Condition()

    async def of(self, names: list[str]) -> list[float]:
        """When each of these was first seen so; waits for them."""
        if not await self.have(names):
            raise RuntimeError(f"{len({*names} - self._moments.keys())} of {len(names)} pods or Jobs do not come")
        return [self._moments[name] for name in names]

    async def have(self, names: list[str]) -> bool:
        """Whether all of these are seen so in time."""
        try:
            async with asyncio.timeout(_LIMIT_S), self._news:
                return await self._news.wait_for(lambda: self._moments.keys() >= {*names})
        except TimeoutError:
            return False

    def count(self, names: list[str]) -> int:
        """How many of these were seen so."""
        return len({*names} & self._moments.keys())

    async def follow(self) -> None:
        """Watch for ever."""
        while True:
            try:
                told = await self._cluster.read(self._path)
                for one in cast("list[dict[str, Any]]", told["items"]):
                    await self._see(one)
                version = str(cast("dict[str, Any]", told["metadata"])["resourceVersion"])
                async with aclosing(
                    self._cluster.watch(self._path, {"resourceVersion": version}, seconds=_WATCH_S)
                ) as events:
                    async for event in events:
                        await self._see(cast("dict[str, Any]", event["object"]))
            except LaunchError:
                await asyncio.sleep(0.2)

    async def _see(self, one: dict[str, Any]) -> None:
        name, moment = self._holds(one), time.time()
        if name is not None and name not in self._moments:
            async with self._news:
                self._moments[name] = moment
                self._news.notify_all()


def at_work(pod: dict[str, Any]) -> str | None:
    """The run (of plain kubectl: the Job) of a pod whose program has started; the program may be over by then."""
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses") or []
    for status in statuses:
        if status["name"] != KEEPER and {"running", "terminated"}.intersection(status["state"]):
            labels: dict[str, str] = pod["metadata"]["labels"]
            return next((labels[name] for name in _RUN_LABELS if name in labels), None)
    return None


def complete(job: dict[str, Any]) -> str | None:
    """The name of a Job that says that it is complete."""
    conditions: list[dict[str, str]] = job["status"].get("conditions") or []
    told = any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)
    return job["metadata"]["name"] if told else None


@asynccontextmanager
async def watched(namespace: str, what: Literal["pods", "jobs"]) -> AsyncGenerator[Sightings]:
    """A namespace's pods whose program has started, by run; or its Jobs that are complete, by name."""
    root, holds = ("/api/v1", at_work) if what == "pods" else ("/apis/batch/v1", complete)
    cluster = Cluster()
    made = Sightings(cluster, f"{root}/namespaces/{namespace}/{what}", holds)
    following = asyncio.ensure_future(made.follow())
    try:
        yield made
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await cluster.close()
