"""Why an attempt does not run, or was ended by the cluster: the words there are for it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What keeps an attempt from running, or ended it."""

    NONE = "none"  # nothing to tell: it starts, runs, or ended well
    USER = "user"  # the program's own exit code
    OUT_OF_MEMORY = "out-of-memory"
    DEADLINE = "deadline"  # activeDeadlineSeconds
    IMAGE = "image"  # the image cannot be pulled
    CONFIGURATION = "configuration"  # CreateContainerConfigError, FailedMount: the container cannot be made
    UNSCHEDULABLE = "unschedulable"  # no node has what it asks for, now
    QUOTA = "quota"  # a ResourceQuota or LimitRange refuses its pods
    ADMISSION = "admission"  # a webhook or pod security refuses its pods
    SUSPENDED = "suspended"  # waits for quota (Kueue), or was suspended by hand
    EVICTED = "evicted"  # by the kubelet: disk, memory of the node, its shutdown
    PREEMPTED = "preempted"  # by a pod of higher priority, a drain, a taint
    NODE_LOST = "node-lost"
    DELETED = "deleted"  # the object or its pod was deleted by hand
    INFRASTRUCTURE = "infrastructure"  # the cluster ended it, and says no more

    @property
    def is_waiting(self) -> bool:
        """Whether it can still come to run; the start deadline counts."""
        return self in _WAITING

    @property
    def is_disruption(self) -> bool:
        """Whether the program is not to blame, so that another attempt is due."""
        return self in _DISRUPTIONS


_WAITING = frozenset(
    {Cause.IMAGE, Cause.CONFIGURATION, Cause.UNSCHEDULABLE, Cause.QUOTA, Cause.ADMISSION, Cause.SUSPENDED}
)
_DISRUPTIONS = frozenset({Cause.EVICTED, Cause.PREEMPTED, Cause.NODE_LOST, Cause.DELETED, Cause.INFRASTRUCTURE})


@dataclass(frozen=True, slots=True)
class Why:
    """A cause, and the same for people in one line."""

    cause: Cause = Cause.NONE
    reason: str = ""


NOTHING = Why()
_LONGEST = 400


def why(cause: Cause, *parts: str) -> Why:
    """A cause with its line: the parts that are not empty, with colons between."""
    line = ": ".join(one for part in parts if (one := " ".join(part.split()).rstrip(". ")))
    return Why(cause, line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…")
