"""What is read off the objects of an attempt to end it and fetch what it left. Pure."""

from __future__ import annotations

from typing import cast

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.keeper import KEEPER


def is_over(seen: Seen) -> bool:
    """Whether no program of a deleted object runs, or will: pods that remain are only kept for their outputs. Pure."""
    if seen.object is not None and "deletionTimestamp" not in metadata_of(seen.object):
        return False
    return all(_has_ended(pod) for pod in seen.pods)


def _programs(pod: JsonObject) -> list[JsonObject]:
    status = cast("JsonObject", pod.get("status") or {})
    found = cast("list[JsonObject]", status.get("containerStatuses") or [])
    return [cast("JsonObject", one.get("state") or {}) for one in found if one.get("name") != KEEPER]


def _has_ended(pod: JsonObject) -> bool:
    states = _programs(pod)
    return bool(states) and all("terminated" in state for state in states)


def has_run(pod: JsonObject) -> bool:
    """Whether the program began in a pod."""
    return any("terminated" in state or "running" in state for state in _programs(pod))


def metadata_of(found: JsonObject) -> JsonObject:
    """An object's metadata; empty if it has none."""
    metadata = found.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def uid_of(pod: JsonObject) -> str:
    """Which pod, of those of one name."""
    return str(metadata_of(pod).get("uid"))


def labels_of(found: JsonObject) -> JsonObject:
    """An object's labels; empty if it has none."""
    labels = metadata_of(found).get("labels")
    return labels if isinstance(labels, dict) else {}
