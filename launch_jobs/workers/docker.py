"""The agent for Docker queues: `prefect worker start --type launch-docker`, or `launch agent`."""

from __future__ import annotations

from typing import ClassVar

from launch_jobs.context import TargetKind
from launch_jobs.workers.worker import LaunchWorker


class DockerWorker(LaunchWorker):
    """Runs jobs in containers of one Docker Engine."""

    type = "launch-docker"
    kind: ClassVar[TargetKind] = "docker"
    _display_name = "Launch Docker"
    _logo_url = "https://cdn.sanity.io/images/3ugk85nk/production/14a315b79990200db7341e42553e23650b34bb96-250x250.png"
    _description = "Launch jobs in Docker containers: images built from captured runs, adopted after a crash."
