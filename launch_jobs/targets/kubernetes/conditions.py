"""How an attempt on Kubernetes stands: from its object, pods and events to one status and one reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from launch_jobs.job import JsonObject
from launch_jobs.targets import AttemptStatus
from launch_jobs.targets.kubernetes.kinds import WorkloadKind


class Cause(StrEnum):
    """What keeps an attempt from running, or ended it."""

    NONE = "none"  # nothing to tell: it starts, runs, or ended well
    USER = "user"  # the program's own exit code
    OUT_OF_MEMORY = "out-of-memory"
    DEADLINE = "deadline"  # activeDeadlineSeconds
    IMAGE = "image"  # the image cannot be pulled
    CONFIGURATION = "configuration"  # CreateContainerConfigError, RunContainerError: the container cannot be made
    UNSCHEDULABLE = "unschedulable"  # no node has what it asks for, now
    QUOTA = "quota"  # a ResourceQuota or LimitRange refuses its pods
    ADMISSION = "admission"  # a webhook or pod security refuses its pods
    SUSPENDED = "suspended"  # waits for quota (Kueue), or was suspended by hand
    EVICTED = "evicted"  # by the kubelet: disk, memory of the node
    PREEMPTED = "preempted"  # DisruptionTarget: preemption, drain, taint, API eviction
    NODE_LOST = "node-lost"
    DELETED = "deleted"  # the object was deleted by hand

    @property
    def is_waiting(self) -> bool:
        """Whether it can still come to run; the start deadline counts."""
        return self in _WAITING

    @property
    def is_disruption(self) -> bool:
        """Whether another attempt is due, for the program is not to blame."""
        return self in {Cause.EVICTED, Cause.PREEMPTED, Cause.NODE_LOST, Cause.DELETED}


_WAITING = frozenset(
    {Cause.IMAGE, Cause.CONFIGURATION, Cause.UNSCHEDULABLE, Cause.QUOTA, Cause.ADMISSION, Cause.SUSPENDED}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the API server tells of one attempt.

    Attributes:
        object: the workload object; None: it is not there.
        pods: its pods, those found by the kind's selector.
        events: of the object and of its pods (core/v1 Event or events.k8s.io).
    """

    object: JsonObject | None
    pods: tuple[JsonObject, ...] = ()
    events: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How an attempt stands.

    Attributes:
        status: for the flow: created (no container of the program ever ran), running, exited (the object is final).
        cause: what keeps it, or ended it.
        reason: the same for people, one line; empty: nothing to tell.
    """

    status: AttemptStatus
    cause: Cause = Cause.NONE
    reason: str = ""


def read_status(kind: WorkloadKind, seen: Seen, now: datetime) -> Reading | None:
    """How an attempt stands; None if there is no object and no pod of it.

    An attempt is over when its object says so, never when a pod does: it may have retries left. Its exit code is the
    program's own where there is one; None: the infrastructure ended it (`cause` says how).
    """
    raise NotImplementedError
