"""Why an object has failed: the program, or what the cluster did to its pods. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.causes import Cause, Why, why
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.paths import first
from launch_jobs.targets.kubernetes.pods import ProgramEnd, condition, ends, name_of, text, was_deleted_before

_DISRUPTIONS = {
    "PreemptionByScheduler": (Cause.PREEMPTED, "Preempted by a pod of higher priority"),
    "EvictionByEvictionAPI": (Cause.PREEMPTED, "Evicted through the API (a drain, for instance)"),
    "DeletionByTaintManager": (Cause.NODE_LOST, "Its node was tainted"),
    "DeletionByPodGC": (Cause.NODE_LOST, "Its node is gone"),
    "TerminationByKubelet": (Cause.EVICTED, "Evicted by its node"),
}
_STATUS_REASONS = {
    "Evicted": (Cause.EVICTED, "Evicted by its node"),
    "Preempting": (Cause.PREEMPTED, "Preempted by a critical pod"),
    "NodeLost": (Cause.NODE_LOST, "Its node is gone"),
    "NodeShutdown": (Cause.EVICTED, "Its node was shut down"),
    "Shutdown": (Cause.EVICTED, "Its node was shut down"),
    "Terminated": (Cause.EVICTED, "Its node was shut down"),
    "UnexpectedAdmissionError": (Cause.INFRASTRUCTURE, "Its node refused it"),
    "NodeAffinity": (Cause.INFRASTRUCTURE, "Its node refused it"),
}
_NODE_REFUSES = "OutOf"  # OutOfcpu, OutOfmemory, OutOfpods, OutOfnvidia.com/gpu
_DEADLINE = "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an object has failed.

    Attributes:
        why: its cause and line.
        code: the program's exit code; None: it was not the program.
        error: what a message about the attempt adds to its code.
    """

    why: Why
    code: int | None
    error: str = ""


def failure(kind: WorkloadKind, made: JsonObject, said: JsonObject | None, pods: Sequence[JsonObject]) -> Failure:
    """Why a failed object failed.

    Args:
        kind: of the object.
        made: the object.
        said: its condition that says so, if it has one.
        pods: all of it that were seen.
    """
    reason = text(said or {}, "reason") or text(made, "status.reason")
    message = text(said or {}, "message") or text(made, "status.message")
    first_end = _first_failure(pods)
    if reason == _DEADLINE:
        line = why(Cause.DEADLINE, "Kubernetes' own deadline (activeDeadlineSeconds) passed")
        return Failure(line, first_end.code if first_end else None, line.reason)
    if found := _disruption(pods, first_end) or _told_disruption(reason, message):
        found = (found.cause is Cause.DELETED and _suspended(kind, made)) or found
        return Failure(found, None, found.reason)
    if kind.exit_code == "object":
        return Failure(why(Cause.USER, reason or f"Its {kind.kind} failed", message), 1, message or reason)
    if first_end:
        return _of_program(first_end)
    return _unseen(kind, pods, reason, message)


def _suspended(kind: WorkloadKind, made: JsonObject) -> Why | None:
    """Whether it was taken back to wait: its pods are ended for that."""
    if kind.suspend is None or first(made, kind.suspend) is not True:
        return None
    return why(Cause.PREEMPTED, "It was suspended while it ran (by Kueue for another, or by hand)")


def _first_failure(pods: Sequence[JsonObject]) -> ProgramEnd | None:
    """The end that came first: the others mostly follow from it."""
    failed = [one for pod in pods for one in ends(pod) if one.code]
    return min(failed, key=lambda one: one.ended, default=None)


def _of_program(end: ProgramEnd) -> Failure:
    if end.reason == "OOMKilled":
        line = why(Cause.OUT_OF_MEMORY, "OOMKilled", f"the container {end.container} used more memory than its limit")
        return Failure(line, end.code)
    detail = f"{end.reason}: {end.message}" if end.message else ""
    line = why(Cause.USER, f"The container {end.container} ended with code {end.code}", detail)
    return Failure(line, end.code, why(Cause.USER, detail).reason)


def _disruption(pods: Sequence[JsonObject], end: ProgramEnd | None) -> Why | None:
    """What the cluster did to the pod that failed first, or to one that never got to its program."""
    silent = [pod for pod in pods if text(pod, "status.phase") == "Failed" and not any(one.code for one in ends(pod))]
    for pod in [end.pod] if end else silent:
        if found := _taken(pod):
            return found
        if end and was_deleted_before(pod, end.ended):
            return why(Cause.DELETED, f"Its pod {name_of(pod)} was deleted by hand")
    return None


def _taken(pod: JsonObject) -> Why | None:
    """What a pod says of being taken away."""
    reason, message = text(pod, "status.reason"), text(pod, "status.message")
    if told := condition(pod, "DisruptionTarget"):
        cause, line = _DISRUPTIONS.get(text(told, "reason"), (Cause.PREEMPTED, "Disrupted"))
        return why(cause, line, text(told, "message") or message)
    if reason.startswith(_NODE_REFUSES):
        return why(Cause.INFRASTRUCTURE, "Its node refused it", message or reason)
    if reason in _STATUS_REASONS:
        cause, line = _STATUS_REASONS[reason]
        return why(cause, line, message)
    return None


def _told_disruption(reason: str, message: str) -> Why | None:
    """What a Job tells of a pod that is gone (our podFailurePolicy)."""
    if reason == "PodFailurePolicy" and "DisruptionTarget" in message:
        return why(Cause.PREEMPTED, "Its pod was taken away", message)
    return None


def _unseen(kind: WorkloadKind, pods: Sequence[JsonObject], reason: str, message: str) -> Failure:
    """It failed, and no pod tells why."""
    if pods:
        line = why(Cause.INFRASTRUCTURE, f"Its {kind.kind} failed", reason, message)
    else:
        line = why(Cause.DELETED, "Its pods are gone, and their end with them", reason, message)
    return Failure(line, None, line.reason)
