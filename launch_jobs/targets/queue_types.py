"""What a queue of each type can be told."""

from __future__ import annotations

from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration

CONFIGURATIONS: dict[str, type[ProcessConfiguration]] = {
    "docker": DockerConfiguration,
    "kubernetes": KubernetesConfiguration,
    "process": ProcessConfiguration,
}
"""By the queue's type, as `launch queue create` names it."""
