"""What a pod's status says of the program in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.labels import OURS
from launch_jobs.targets.kubernetes.paths import first, items

PROGRAM_CONTAINERS = OURS + "containers"
"""Annotation of a pod: the containers whose exit code is the program's, with commas."""

_NOT_THERE = ("not found", "no such file")
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_OURS = "launch-"
_NEVER = "1970-"
"""What stands as the start of a container that could not be started."""


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """The end of one container of the program.

    Attributes:
        pod: its pod.
        container: its name.
        code: as a shell would say it; 127 and 126 for a program that could not be started.
        reason: the kubelet's word, e.g. OOMKilled.
        message: more of it.
        ended: ISO 8601.
    """

    pod: JsonObject
    container: str
    code: int
    reason: str
    message: str
    ended: str


def text(holder: JsonObject, path: str) -> str:
    """The text at a path; empty if there is none."""
    value = first(holder, path)
    return value if isinstance(value, str) else ""


def name_of(holder: JsonObject) -> str:
    """An object's name."""
    return text(holder, "metadata.name")


def condition(holder: JsonObject, kind: str) -> JsonObject | None:
    """The condition of this type, if it is True."""
    conditions = items(_status(holder), "conditions")
    return next((one for one in conditions if one.get("type") == kind and one.get("status") == "True"), None)


def program_containers(pod: JsonObject) -> list[JsonObject]:
    """The statuses of the program's containers."""
    annotations = first(pod, "metadata.annotations")
    named = annotations.get(PROGRAM_CONTAINERS) if isinstance(annotations, dict) else None
    statuses = items(_status(pod), "containerStatuses")
    if isinstance(named, str):
        return [one for one in statuses if str(one.get("name")) in named.split(",")]
    return [one for one in statuses if not str(one.get("name")).startswith(_OURS)]


def all_containers(pod: JsonObject) -> list[JsonObject]:
    """The statuses of all containers, those first that run first."""
    status = _status(pod)
    return [*items(status, "initContainerStatuses"), *items(status, "containerStatuses")]


def is_program_running(pod: JsonObject) -> bool:
    """Whether a container of the program runs in it."""
    return any(first(one, "state.running") is not None for one in program_containers(pod))


def was_program_running(pod: JsonObject) -> bool:
    """Whether a container of the program runs in it, or ever did."""
    return any(
        first(one, path) is not None
        for one in program_containers(pod)
        for path in ("state.running", "state.terminated", "lastState.terminated")
    )


def starts(pod: JsonObject) -> list[str]:
    """When its program's containers started."""
    paths = ("state.running.startedAt", "state.terminated.startedAt", "lastState.terminated.startedAt")
    found = [text(one, path) for one in program_containers(pod) for path in paths]
    return [moment for moment in found if moment and not moment.startswith(_NEVER)]


def ends(pod: JsonObject) -> list[ProgramEnd]:
    """The ends of its program's containers; a failed init container counts, for the program never starts then."""
    found = [_end(pod, one) for one in program_containers(pod)]
    before = [_end(pod, one) for one in items(_status(pod), "initContainerStatuses")]
    return [*(one for one in before if one and one.code), *(one for one in found if one)]


def was_deleted_before(pod: JsonObject, moment: str) -> bool:
    """Whether somebody had asked for its deletion by then."""
    until = text(pod, "metadata.deletionTimestamp")
    if not until or not moment:
        return bool(until)
    grace = first(pod, "metadata.deletionGracePeriodSeconds")
    asked = datetime.fromisoformat(until) - timedelta(seconds=grace if isinstance(grace, int) else 0)
    return asked <= datetime.fromisoformat(moment)


def _end(pod: JsonObject, container: JsonObject) -> ProgramEnd | None:
    ended = first(container, "state.terminated")
    if not isinstance(ended, dict):
        return None
    code = ended.get("exitCode")
    return ProgramEnd(
        pod,
        str(container.get("name")),
        _code(code if isinstance(code, int) else 1, text(ended, "reason"), text(ended, "message")),
        text(ended, "reason"),
        text(ended, "message"),
        text(ended, "finishedAt"),
    )


def _code(code: int, reason: str, message: str) -> int:
    if reason not in _NOT_STARTED:
        return code
    if any(sign in message for sign in _NOT_THERE):
        return 127
    return 126 if "permission denied" in message else code


def _status(holder: JsonObject) -> JsonObject:
    status = holder.get("status")
    return status if isinstance(status, dict) else {}
