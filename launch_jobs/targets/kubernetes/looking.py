"""How attempts stand: what the API server tells of them, and what their keepers know better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from launch_jobs.cluster import Cluster, until_allowed
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.moments import happens
from launch_jobs.run import Reason
from launch_jobs.targets import AttemptStatus
from launch_jobs.targets.kubernetes.conditions import Cause, Reading, Seen, read_status
from launch_jobs.targets.kubernetes.data_volume import wants_data
from launch_jobs.targets.kubernetes.keeper import KEEPER, QUIET, as_if_released, keepers, silenced
from launch_jobs.targets.kubernetes.seen_pods import metadata_of, uid_of
from launch_jobs.targets.kubernetes.where import Where

LOOK_S = 5.0
"""Seconds after which whoever waits for news looks without any."""

_REASONS = {
    Cause.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Cause.DEADLINE: Reason.TIMEOUT,
    Cause.PREEMPTED: Reason.PREEMPTED,
    Cause.EVICTED: Reason.INFRASTRUCTURE,
    Cause.NODE_LOST: Reason.INFRASTRUCTURE,
    Cause.DELETED: Reason.INFRASTRUCTURE,
}


class Lookout:
    """Looks at the attempts of one cluster.

    Args:
        cluster: that cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._quiet: dict[str, str] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._known: set[str] = set()
        self.refused: dict[str, str] = {}
        """Why objects of these names could not be made yet."""

    async def close(self) -> None:
        """Listen to no keeper any more."""
        for task in self._listening.values():
            task.cancel()
        await asyncio.gather(*self._listening.values(), return_exceptions=True)

    async def looked(self, where: Where) -> Seen:
        """What is there. Of deleted pods Kubernetes does not tell how their containers fare: their keepers do."""
        async with until_allowed() if where.name in self._known else nullcontext():
            seen = await where.namespace.seen(where.kind, where.path, where.name)
        if seen.object is not None:
            self._known.add(where.name)
        for pod in keepers(seen.pods):
            if "deletionTimestamp" in metadata_of(pod) and (uid := uid_of(pod)) not in self._listening:
                self._listening[uid] = asyncio.ensure_future(self._listen(where, pod))
        pods = tuple(
            silenced(pod, self._quiet[uid]) if (uid := uid_of(pod)) in self._quiet else pod for pod in seen.pods
        )
        return Seen(seen.object, pods, seen.events)

    async def seen(self, where: Where) -> Seen:
        """What is there, as if no keeper were."""
        return as_if_released(await self.looked(where), where.kind)

    async def reading(self, where: Where) -> Reading | None:
        """How an attempt stands; None if nothing of it is there."""
        seen = await self.seen(where)
        reading = read_status(where.kind, seen, datetime.now(UTC))
        if reading is None:
            return self._absent(where.name)
        made = metadata_of(seen.object).get("creationTimestamp") if seen.object else None
        state = reading.status.state
        reason = _REASONS.get(reading.cause) if state == "exited" else None
        error = reading.reason if state == "created" else reading.status.error
        status = replace(
            reading.status,
            reason=reason,
            created=str(made) if made else None,
            error=error,
            wants_datasets=state == "running" and wants_data(where.kind, seen),
        )
        return replace(reading, status=status)

    async def is_gone(self, where: Where) -> bool:
        """Whether an attempt was there, and is not any more."""
        if where.name not in self._known:
            return False
        seen = await self.looked(where)
        return seen.object is None and not seen.pods

    async def comes(self, where: Where, what: Callable[[Seen], bool], patience_s: float) -> bool:
        """Whether something is seen of an attempt in that many seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_s
        with where.namespace.changes.of(where.name) as news:
            while True:
                news.clear()
                if what(await self.looked(where)):
                    return True
                if clock() >= deadline:
                    return False
                await happens(news, min(LOOK_S, deadline - clock()))

    def forget(self, name: str, pods: Iterable[JsonObject]) -> None:
        """Nobody asks for this attempt any more."""
        self._known.discard(name)
        self.refused.pop(name, None)
        for pod in pods:
            self._quiet.pop(uid_of(pod), None)
            self._listening.pop(uid_of(pod), None)

    def _absent(self, name: str) -> Reading | None:
        """What is to be said of an attempt of which nothing is there."""
        if refused := self.refused.get(name):
            return Reading(AttemptStatus("created", error=refused), Cause.QUOTA, refused)
        if name not in self._known:
            return None
        line = "Its object and its pods were deleted"
        status = AttemptStatus("exited", None, error=line, reason=_REASONS[Cause.DELETED])
        return Reading(status, Cause.DELETED, line)

    async def _listen(self, where: Where, pod: JsonObject) -> None:
        """Learn from a keeper that the program of its pod is over."""
        try:
            async for _ in self._cluster.run(where.namespace.pod_path(pod), KEEPER, QUIET):
                pass
            self._quiet[uid_of(pod)] = now()
            where.namespace.changes.tell(where.name)
        except Unavailable:
            await asyncio.sleep(1)
            del self._listening[uid_of(pod)]
        except LaunchError:
            return  # the keeper cannot be asked: the end of the pod will tell


def now() -> str:
    """This moment, ISO 8601 UTC."""
    return datetime.now(UTC).isoformat()
