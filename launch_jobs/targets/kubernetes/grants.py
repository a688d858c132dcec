"""What an agent's operator grants to the workloads of Kubernetes queues: agent.toml, [allow.kubernetes]."""

from __future__ import annotations

from launch_jobs.job import Frozen


class ClusterGrants(Frozen):
    """Beyond the Restricted pod security standard; nothing by default."""
