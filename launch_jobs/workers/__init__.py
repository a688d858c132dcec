"""The agents: Prefect workers of the types `launch-docker`, `launch-kubernetes` and `launch-process`.

Loaded by Prefect as a collection.
"""

from launch_jobs.workers.docker import DockerWorker
from launch_jobs.workers.kubernetes import KubernetesWorker
from launch_jobs.workers.process import ProcessWorker

__all__ = ["DockerWorker", "KubernetesWorker", "ProcessWorker"]
