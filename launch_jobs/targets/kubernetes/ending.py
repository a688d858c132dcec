"""Ends attempts, and removes what is left of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from launch_jobs.cluster import Cluster
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.run import Place, Stopped
from launch_jobs.targets.kubernetes.keeper import HOLD_S, KEEPER, KILL, RELEASE, keepers
from launch_jobs.targets.kubernetes.looking import Lookout, now
from launch_jobs.targets.kubernetes.seen_pods import is_over, metadata_of
from launch_jobs.targets.kubernetes.where import Where

_KILL_S = 60.0


class Ending:
    """Ends attempts of one cluster.

    Args:
        cluster: that cluster.
        lookout: who looks at them.
    """

    def __init__(self, cluster: Cluster, lookout: Lookout) -> None:
        self._cluster, self._lookout = cluster, lookout

    async def stop(self, where: Where, place: Place, grace_s: float) -> Stopped | None:
        """As `Target.stop`."""
        reading = await self._lookout.reading(where)
        if reading is None or reading.status.state == "exited":
            return None
        asked = now() if reading.status.state == "running" else None
        held = list(keepers((await self._lookout.looked(where)).pods))
        # The first deletion says the grace, which no later one makes shorter: so the pods come before their object.
        await self._end_pods(where, grace_s + HOLD_S if held else grace_s)
        await self._delete(where)
        if await self._lookout.comes(where, is_over, grace_s if held else grace_s + _KILL_S):
            return Stopped(signalled=asked, gone=now())
        killed = now()
        await self._tell_keepers(where, KILL)
        if await self._lookout.comes(where, is_over, HOLD_S + _KILL_S):
            return Stopped(signalled=asked, killed=killed, gone=now())
        raise Unavailable(f"{place} does not end", do=f"See `kubectl get pods -l {where.kind.selector(where.name)}`")

    async def remove(self, where: Where) -> None:
        """Delete the object of an attempt whose program is over, and, by owner references, all that belongs to it.

        That the API server has taken the deletion is enough, Kubernetes completes it.
        """
        seen = await self._lookout.looked(where)
        if any("deletionTimestamp" in metadata_of(pod) for pod in seen.pods):
            await self._tell_keepers(where, RELEASE)
        await self._end_pods(where, 1)
        await self._delete(where)
        self._lookout.forget(where.name, seen.pods)

    async def _delete(self, where: Where) -> None:
        await self._cluster.delete(f"{where.path}/{where.name}", propagation=where.kind.deletion)

    async def _end_pods(self, where: Where, grace_s: float) -> None:
        seen = await self._lookout.looked(where)
        paths = [where.namespace.pod_path(pod) for pod in seen.pods]
        await asyncio.gather(*(self._cluster.delete(path, grace_s=grace_s) for path in paths))

    async def _tell_keepers(self, where: Where, command: tuple[str, ...]) -> None:
        """Have a command run in all keepers; one that is gone meanwhile needs it no more."""
        seen = await self._lookout.looked(where)

        async def tell(pod: JsonObject) -> None:
            with suppress(LaunchError):
                async for _ in self._cluster.run(where.namespace.pod_path(pod), KEEPER, command):
                    pass

        await asyncio.gather(*map(tell, keepers(seen.pods)))
