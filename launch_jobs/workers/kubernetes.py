"""The agent for Kubernetes queues: `prefect worker start --type launch-kubernetes`, or `launch agent`."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from launch_jobs.context import TargetKind
from launch_jobs.workers.devices import Devices
from launch_jobs.workers.tenure import SURE_S
from launch_jobs.workers.worker import LaunchWorker


class KubernetesWorker(LaunchWorker):
    """Runs jobs as workload objects of a Kubernetes cluster, whose scheduler has the GPUs to give."""

    type = "launch-kubernetes"
    kind: ClassVar[TargetKind] = "kubernetes"
    _display_name = "Launch Kubernetes"
    _logo_url = "https://cdn.sanity.io/images/3ugk85nk/production/2d0b896006ad463b49c28aaac14f31e00e32cfab-250x250.png"
    _description = "Launch jobs on a Kubernetes cluster: any workload object, adopted after a crash."

    @override
    async def setup(self) -> None:
        from launch_jobs.workers.lease import AgentLease  # its SDK is not for agents that serve no cluster

        await super().setup()
        self.lease = AgentLease(self, self.settings.lease_s)
        self.sure_s = min(SURE_S, self.settings.lease_s / 2)
        await self.lease.keep()

    @override
    async def teardown(self, *exc_info: Any) -> None:  # Prefect's own
        if self.lease is not None:
            await self.lease.release()
            await self.lease.close()
        await super().teardown(*exc_info)

    @override
    def _devices(self) -> Devices:
        return Devices(None)  # nothing of this host is given to a pod
