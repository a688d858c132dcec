"""The door to a Kubernetes API server: plain JSON in and out, its errors as ours. Nobody else imports its SDK."""

from __future__ import annotations

from launch_jobs.cluster.access import ClusterAccess
from launch_jobs.cluster.calls import Cluster, sign_of_life
from launch_jobs.cluster.failures import (
    ClusterConflict,
    CommandFailed,
    Forbidden,
    OverQuota,
    WatchExpired,
    forbidden,
    until_allowed,
)

__all__ = [
    "Cluster",
    "ClusterAccess",
    "ClusterConflict",
    "CommandFailed",
    "Forbidden",
    "OverQuota",
    "WatchExpired",
    "forbidden",
    "sign_of_life",
    "until_allowed",
]
