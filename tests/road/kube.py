"""The walking road to a Kubernetes cluster: a queue whose runs are objects in a namespace of the test's own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from walking import Road

from launch_jobs.job import Entrypoint, ImageSource, Job, JobVersion, JsonObject, Origin, Overrides
from launch_jobs.queue import create_queue
from launch_jobs.runs import read_log
from launch_jobs.submission import Submission, submit
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.template import base_job_template, with_operator_fields

if TYPE_CHECKING:
    from infrastructure.cluster import Cluster


@dataclass
class KubeRoad:
    """A road whose queue runs on the cluster.

    Attributes:
        queue: its only one.
    """

    road: Road
    cluster: Cluster
    namespace: str
    queue: str = ""

    async def make_queue(self, **operators: Any) -> None:
        """Make the queue, with fields of its operator's, and start an agent for it."""
        self.queue = f"kube-{uuid.uuid4().hex[:8]}"
        model = KubernetesConfiguration
        given: JsonObject = {"namespace": self.namespace, **operators}
        template = with_operator_fields(base_job_template(model), model, given)
        await create_queue(self.queue, "kubernetes", template=template)
        self.road.queues.append(self.queue)
        self.road.agent("-q", self.queue)

    async def submit(self, script: str, *, image: str | None = None, retries: int = 0, **variables: Any) -> str:
        """Submit a run of the base image, or of another; its id."""
        job = self._job(script, image or self.cluster.base_image)
        given = cast("JsonObject", variables)
        overrides = Overrides(retries=retries)
        asked = Submission(job=job.reference, queue=self.queue, overrides=overrides, variables=given)
        return str((await submit(asked, self.road.store)).id)

    def _job(self, script: str, image: str) -> JobVersion:
        job = Job(source=ImageSource(reference=image), entrypoint=Entrypoint(argv=("sh", "-c", script)))
        return self.road.store.add(f"kube-{uuid.uuid4().hex[:12]}", job, Origin())

    async def running(self, run: str, line: str) -> None:
        """Wait until a run has printed a line."""
        await self.road.until(run, lambda info: info.place)
        await self.road.until_true(lambda: line in self.kubectl("logs", f"job/{name_of(run)}", check=False))

    async def log(self, run: str) -> list[str]:
        """The lines of a run's log."""
        return b"".join([chunk async for chunk in read_log(run, self.road.store)]).decode().splitlines()

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """What kubectl prints about the namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, check=check)

    def objects(self) -> list[str]:
        """Everything of ours that is in the namespace."""
        kinds = "jobs,pods,secrets,configmaps,services"
        return self.kubectl("get", kinds, "-l", ATTEMPT_LABEL, "-o", "name").split()


def name_of(run: str, attempt: int = 1) -> str:
    """Of the object of an attempt."""
    return f"lj-{run.replace('-', '')}-a{attempt}"
