"""The target of a launch queue as this agent reaches it: the engine, cluster or host, and what lives there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch_jobs.cluster_access import ClusterChoice, ReachedCluster, cluster_choice, reached_cluster
from launch_jobs.context import TargetKind, make_target
from launch_jobs.docker_access import DockerAccess, docker_access
from launch_jobs.errors import Unavailable
from launch_jobs.targets.devices import DeviceHolder
from launch_jobs.workers.decision import Found

if TYPE_CHECKING:
    from launch_jobs.agent_file import AgentFile
    from launch_jobs.job import JsonObject
    from launch_jobs.run import Place
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.targets import Target
    from launch_jobs.workers.devices import Devices


class Reach:
    """One launch queue's target on this machine. Used from the flow thread only."""

    def __init__(self, kind: TargetKind, settings: LaunchSettings, agent: AgentFile, devices: Devices) -> None:
        self._kind: TargetKind = kind
        self._settings = settings
        self._agent = agent
        self._devices = devices
        self._reached: tuple[Target, DockerAccess] | None = None
        self._cluster = ClusterChoice()
        self.cluster = ReachedCluster()
        """Where a Kubernetes queue's images are built, too; known with its target."""

    async def target(self) -> tuple[Target, DockerAccess]:
        """The target, and the engine that its blocks choose; looked up once."""
        if self._reached is None:
            access = await docker_access(self._settings)
            is_cluster = self._kind == "kubernetes"
            if is_cluster:
                self.cluster = await reached_cluster(self._cluster, self._settings)
            target = make_target(self._kind, self._settings, access, self._agent, cluster=self.cluster)
            self._reached = target, access
        return self._reached

    def learn(self, template: JsonObject) -> None:
        """Hear what the queue's operator says of its cluster; runs that go on keep the one they are on."""
        choice = cluster_choice(template)
        if choice != self._cluster:
            self._cluster, self._reached = choice, None

    async def check(self) -> None:
        """Ask the target for a sign of life.

        Raises:
            Unavailable: it does not answer.
        """
        target, _ = await self.target()
        await target.status(await target.place("any"))

    async def recover_devices(self) -> None:
        """Learn which devices living attempts hold, those of dead agents and of other agents, too.

        Raises:
            Unavailable: the target does not answer.
        """
        target, _ = await self.target()
        if self._devices.is_counted and isinstance(target, DeviceHolder):
            self._devices.found(await target.held_devices())

    async def living(self) -> set[str]:
        """Ids of the runs of which something lives on this host or engine, whoever made it.

        Raises:
            Unavailable: the target does not answer.
        """
        target, _ = await self.target()
        return set(await target.held_devices()) if isinstance(target, DeviceHolder) else set()

    async def found(self, place: Place) -> Found:
        """What is at a place now, as far as it can be seen from here."""
        try:
            target, _ = await self.target()
            own = await target.place(place.name.rpartition("/")[2])
            if place != own and (place.kind != "k8s" or place.host != own.host):
                return Found.ELSEWHERE
            status = await target.status(place)
        except Unavailable:
            return Found.SILENT
        return Found.ABSENT if status is None else Found(status.state)
