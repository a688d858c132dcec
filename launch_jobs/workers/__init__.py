"""The agents: Prefect workers of the types `launch-docker` and `launch-process`. Loaded by Prefect as a collection."""

from launch_jobs.workers.docker import DockerWorker
from launch_jobs.workers.process import ProcessWorker

__all__ = ["DockerWorker", "ProcessWorker"]
