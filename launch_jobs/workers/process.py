"""The agent for process queues: one person's machine, isolated by nothing."""

from __future__ import annotations

from typing import ClassVar

from launch_jobs.context import TargetKind
from launch_jobs.workers.worker import LaunchWorker


class ProcessWorker(LaunchWorker):
    """Runs jobs as supervised processes on the agent's own host, each in a virtual environment of its own."""

    type = "launch-process"
    kind: ClassVar[TargetKind] = "process"
    _display_name = "Launch Process"
    _logo_url = "https://cdn.sanity.io/images/3ugk85nk/production/356e6766a91baf20e1d08bbe16e8b5aaef4d8643-48x48.png"
    _description = "Launch jobs as processes on this host, each in the environment it was captured with."
