"""The Lease with which an agent shows others on the same cluster that it lives, sooner than the server does.

Leases prove deaths; what is done about them is `reconciling.py`'s, as ever (decision record 10).
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, cast

from prefect.logging import get_logger

from launch_jobs.cluster import Cluster, ClusterConflict
from launch_jobs.cluster.leases import LEFT_S, Lease, Leases
from launch_jobs.cluster_access import cluster_choice, reached_cluster
from launch_jobs.errors import LaunchError, Unavailable
from launch_jobs.locks import Shared
from launch_jobs.workers.prefect_internals import has_pool
from launch_jobs.workers.sightings import Sightings
from launch_jobs.workers.tenure import clock_s

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from launch_jobs.job import JsonObject
    from launch_jobs.workers.worker import LaunchWorker

_RENEWALS = 5
"""In the time for which a Lease counts."""

_DOUBT_S = 60.0
"""Until everybody who saw us as dead has acted on it."""

_LOCK = "leases.lock"
_logger = get_logger("launch_jobs.agent")


class AgentLease:
    """An agent's Lease in the namespace of one launch queue, and what it sees of the others. Used from the main thread.

    An agent that may not, or cannot, have one works without: then only the server tells who lives.

    Attributes:
        died: set when an agent has died, or left.
        period_s: how often to renew it.
    """

    def __init__(self, worker: LaunchWorker, duration_s: int) -> None:
        self._worker = worker
        self._duration_s = duration_s
        self.period_s = duration_s / _RENEWALS
        self.died = asyncio.Event()
        self._holder = f"{worker.name}_{worker.ownership.identity}"
        self._home = _living(worker.settings.home / _LOCK)
        self._leases: Leases | None = None
        self._sightings = Sightings(2 * self.period_s)
        self._looked = self._renewed = self._doubtful_until = -float("inf")
        self._giving_up: Future[None] | None = None
        self._said = ""

    async def keep(self) -> None:
        """Renew it, and look at the others'. What does not work is tried again; runs go on without."""
        if self._worker.stopping or not has_pool(self._worker):
            return
        try:
            async with asyncio.timeout(self._duration_s / 2):
                await self._keep()
            self._said = ""
        except (LaunchError, TimeoutError) as error:
            self._say(str(error) or "it takes too long")
        if clock_s() < self._doubtful_until and (self._giving_up is None or self._giving_up.done()):
            # Beside this: whatever the server takes for it, the Lease is to be renewed.
            self._giving_up = self._worker.thread.submit(self._worker.conductor.give_up_lost())

    def check(self) -> None:
        """Whether others see that this agent lives.

        Raises:
            Unavailable: its Lease may soon be over, and then others take over what it claims.
        """
        if self._is_held and clock_s() > self._renewed + self._duration_s / 3:
            raise Unavailable("this agent's Lease could not be renewed")

    def proves_dead(self, identity: str) -> bool:
        """Whether the agent of another home is dead, by what was just seen."""
        return clock_s() < self._looked + self._duration_s / 2 and self._sightings.is_dead(identity)

    def has_left(self, identity: str) -> bool:
        """Whether the agent of another home left because it was asked to."""
        return self._sightings.has_left(identity)

    async def release(self, patience_s: float = 1.0) -> None:
        """Tell the others that we have left, unless another process of this home works on. Then do nothing more."""
        if self._leases is None or not self._is_held or not self._home.is_alone():
            return
        try:
            async with asyncio.timeout(0.9 * patience_s):
                await self._renew(self._leases, await self._leases.read(), LEFT_S)
        except (LaunchError, TimeoutError) as error:
            _logger.warning("Others learn late that this agent has left: %s", error or "no answer in time")

    async def close(self) -> None:
        """Let the connection go."""
        if self._leases is not None:
            await self._leases.close()

    @property
    def _is_held(self) -> bool:
        return self._renewed > -float("inf")

    async def _keep(self) -> None:
        leases = await self._open()
        began = clock_s()
        read = await leases.read()
        dead = self._sightings.look(read, began, clock_s()) - {self._worker.ownership.identity}
        self._looked = began
        if dead:
            names = sorted(lease.holder.rpartition("_")[0] for lease in read if lease.identity in dead)
            _logger.info("Gone by their Leases: %s", ", ".join(names))
            self.died.set()
        await self._renew(leases, read, self._duration_s)
        if self._is_held and began > self._renewed + self._duration_s:
            # We were away, and others may have taken over what we work on, or be about to.
            self._doubtful_until = began + _DOUBT_S
        self._renewed = began

    async def _renew(self, leases: Leases, read: list[Lease], duration_s: int) -> None:
        """Agents of other queues with this home write it, too: then once more."""
        try:
            await leases.renew(read, self._holder, duration_s)
        except ClusterConflict:
            if duration_s == LEFT_S or not self._worker.stopping:
                await leases.renew(await leases.read(), self._holder, duration_s)

    async def _open(self) -> Leases:
        """The Leases of the queue's namespace, as it is now: others know us by this one to our end."""
        if self._leases is None:
            template = cast("JsonObject", self._worker.work_pool.base_job_template)
            cluster = await reached_cluster(cluster_choice(template), self._worker.settings)
            self._leases = Leases(Cluster(cluster.access), _namespace(template))
        return self._leases

    def _say(self, why: str) -> None:
        if why != self._said:
            _logger.warning("No Lease for this agent, so others learn late of its death: %s", why)
        self._said = why


def _namespace(template: JsonObject) -> str:
    """Where the runs of a queue are, and the Leases of its agents. Pure."""
    configuration = template.get("job_configuration")
    given = configuration.get("namespace") if isinstance(configuration, dict) else None
    return given if isinstance(given, str) else "default"


@cache
def _living(file: Path) -> Shared:
    """What says that a process of this home lives: one in each process."""
    return Shared(file)
