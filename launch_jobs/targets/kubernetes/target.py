"""Runs attempts as workload objects of a Kubernetes cluster: one object an attempt, named after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from launch_jobs.cluster import Cluster, ClusterAccess, OverQuota, until_allowed
from launch_jobs.errors import NotFound, Refused
from launch_jobs.moments import happens
from launch_jobs.run import Place, Stopped
from launch_jobs.targets import AttemptStatus, LogChunk, RunSpec
from launch_jobs.targets.kubernetes.conditions import Reading, Seen, read_status
from launch_jobs.targets.kubernetes.creating import make
from launch_jobs.targets.kubernetes.data_volume import with_data
from launch_jobs.targets.kubernetes.delivering import Deliveries, contents_of
from launch_jobs.targets.kubernetes.ending import Ending
from launch_jobs.targets.kubernetes.fetching import fetch, read_notes
from launch_jobs.targets.kubernetes.following import Follower, rank_of
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.keeper import TREE, has_tree, keeper_parts, keepers
from launch_jobs.targets.kubernetes.kinds import Kinds, load_kinds
from launch_jobs.targets.kubernetes.looking import LOOK_S, Lookout
from launch_jobs.targets.kubernetes.manifest import Workload, workload
from launch_jobs.targets.kubernetes.policy import check_workload
from launch_jobs.targets.kubernetes.seen_pods import has_run
from launch_jobs.targets.kubernetes.where import Where, Whereabouts
from launch_jobs.targets.outputs import OutputFolder


@dataclass(frozen=True, slots=True)
class KeeperChoice:
    """How outputs come home.

    Attributes:
        image: of the keeper; None: the program's own.
        wait_s: how long after a program's end it waits for an agent.
    """

    image: str | None = None
    wait_s: int = 600


class KubernetesTarget:
    """The target of `launch-kubernetes` queues. Used in one event loop.

    Args:
        access: which cluster, and as whom.
        grants: what the agent's operator lets workloads have.
        kinds: what is known of workload objects.
        keeper: how outputs come home.
    """

    def __init__(
        self,
        access: ClusterAccess | None = None,
        *,
        grants: ClusterGrants | None = None,
        kinds: Kinds | None = None,
        keeper: KeeperChoice | None = None,
    ) -> None:
        self._cluster = Cluster(access)
        self._grants = grants or ClusterGrants()
        self._kinds = kinds or load_kinds()
        self._keeper = keeper or KeeperChoice()
        self._places = Whereabouts(self._cluster, self._kinds)
        self._lookout = Lookout(self._cluster)
        self._ending = Ending(self._cluster, self._lookout)
        self._deliveries = Deliveries(self._cluster, self._lookout)

    async def close(self) -> None:
        """End the streams, and let the connections go."""
        await self._deliveries.close()
        await self._lookout.close()
        await self._places.close()
        await self._cluster.close()

    async def place(self, name: str) -> Place:
        """The cluster; where in it an attempt lives is known once `place_of` was asked."""
        return await self._places.place(name)

    async def place_of(self, spec: RunSpec) -> Place:
        """Where the attempt of this spec lives: `k8s://<cluster>/<namespace>/<kind>.<version>.<group>/<name>`."""
        return await self._places.place_of(spec)

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Create the object if its name is free, else adopt it.

        Raises:
            BadInput: the cluster does not take it; says why.
            Refused: this host or the cluster does not grant what it wants, or the name is somebody else's.
        """
        place = await self.place_of(spec)
        where = await self._places.where(place)
        wanted = self._workload(spec)
        try:
            check_workload(wanted, self._grants)
            contents = await asyncio.to_thread(contents_of, spec)
        except Refused:
            status = await self.status(place)
            if status is None or status.state == "created":
                raise
            return status
        try:
            if not await self._lookout.is_gone(where):  # an attempt is not made twice
                await make(self._cluster, where, wanted)
        except OverQuota as error:
            self._lookout.refused[where.name] = error.what
            raise
        self._lookout.refused.pop(where.name, None)
        if contents is not None:
            self._deliveries.begin(where, contents)
        reading = await self._reading(where)
        return reading.status if reading else AttemptStatus("created")

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        if "/" not in place.name:
            await self._cluster.read("/version")
            return None
        reading = await self._reading(await self._places.where(place))
        return reading.status if reading else None

    async def waiting(self, place: Place) -> AsyncIterator[str]:
        """Why the program has not started yet, each time that changes, until it has, or is over."""
        where, told = await self._places.where(place), ""
        with where.namespace.changes.of(where.name) as news:
            while True:
                news.clear()
                reading = await self._reading(where)
                if reading is None or reading.status.state != "created":
                    return
                if reading.reason and reading.reason != told:
                    told = reading.reason
                    yield told
                await happens(news, LOOK_S)

    async def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from `since` until the attempt ends, of all its containers."""
        where = await self._places.where(place)

        async def look() -> tuple[Seen, bool]:
            seen = await self._lookout.seen(where)
            reading = read_status(where.kind, seen, datetime.now(UTC))
            return seen, reading is None or reading.status.state == "exited"

        async with aclosing(Follower(self._cluster, where.namespace, where.name, look).chunks(since)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """Delete the object, its pods politely first; returns when no program of it runs. Keepers may hold outputs.

        Raises:
            Unavailable: the cluster cannot end it, because a node does not answer, for instance.
        """
        if "/" not in place.name:
            return None
        where = await self._places.where(place)
        await self._deliveries.end(where.name)
        async with until_allowed():
            return await self._ending.stop(where, place, grace_s)

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Fetch what an ended attempt's pods keep; of several the first one's lies above, others' under `rank-N`.

        Raises:
            NotFound: nothing of the attempt is there any more.
        """
        where = await self._places.where(place)
        seen = await self._lookout.looked(where)
        if seen.object is None and not seen.pods:
            raise NotFound(f"{place} is gone, and its outputs with it")
        outputs = OutputFolder(into, spec.output_limit_bytes)
        holding = list(keepers(seen.pods))
        for pod in holding:
            rank = rank_of(pod)
            prefix = PurePosixPath() if len(seen.pods) == 1 or rank == "0" else PurePosixPath(f"rank-{rank}")
            async with until_allowed():
                await fetch(self._cluster, where.namespace.pod_path(pod), spec.output_dir, outputs, prefix)
                if has_tree(spec):
                    await fetch(self._cluster, where.namespace.pod_path(pod), TREE, outputs, prefix)
                    read_notes(outputs, into, prefix)
        if len(holding) < sum(map(has_run, seen.pods)):
            outputs.leave_out(PurePosixPath("(outputs: the pod's keeper had ended before they were fetched)"))
        return outputs.left_out

    async def remove(self, place: Place) -> None:
        """Delete the object and, by owner references, all that belongs to it. Nothing there is no error."""
        if "/" not in place.name:
            return
        where = await self._places.where(place)
        await self._deliveries.end(where.name)
        async with until_allowed():
            await self._ending.remove(where)
        self._places.forget(where.name)

    def _workload(self, spec: RunSpec) -> Workload:
        """The final objects of an attempt, each pod with its keeper."""
        image = self._keeper.image or spec.image
        return workload(spec, self._kinds, with_data(keeper_parts(spec, image, self._keeper.wait_s), spec, image))

    async def _reading(self, where: Where) -> Reading | None:
        """How an attempt stands; while its datasets are brought to it, how these fare."""
        reading = await self._lookout.reading(where)
        line = self._deliveries.told(where.name)
        if reading is None or not line or reading.reason or reading.status.state != "created":
            return reading
        return replace(reading, reason=line, status=replace(reading.status, error=line))
