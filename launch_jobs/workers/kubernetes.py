"""The agent for Kubernetes queues: `prefect worker start --type launch-kubernetes`, or `launch agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from launch_jobs.context import TargetKind
from launch_jobs.workers.conductor import Conductor
from launch_jobs.workers.worker import LaunchWorker

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


class KubernetesWorker(LaunchWorker):
    """Runs jobs as workload objects of a Kubernetes cluster, whose scheduler has the GPUs to give."""

    type = "launch-kubernetes"
    kind: ClassVar[TargetKind] = "kubernetes"
    _display_name = "Launch Kubernetes"
    _logo_url = "https://cdn.sanity.io/images/3ugk85nk/production/2d0b896006ad463b49c28aaac14f31e00e32cfab-250x250.png"
    _description = "Launch jobs on a Kubernetes cluster: any workload object, adopted after a crash."

    @override
    def _conductor(self) -> Conductor:
        # Nothing of this host is given to a pod.
        return Conductor(self.kind, self.pool, self.settings, self.agent_file)

    @override
    async def _claim_with_devices(self, run: FlowRun) -> bool | None:
        return await self._claim(run)
