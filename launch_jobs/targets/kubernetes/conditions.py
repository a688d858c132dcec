"""How an attempt on Kubernetes stands: from its object, pods and events to one status and one reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from launch_jobs.job import JsonObject
from launch_jobs.targets import AttemptStatus
from launch_jobs.targets.kubernetes.causes import NOTHING, Cause, Why, why
from launch_jobs.targets.kubernetes.failures import failure
from launch_jobs.targets.kubernetes.kinds import State, StatusRule, WorkloadKind
from launch_jobs.targets.kubernetes.paths import first
from launch_jobs.targets.kubernetes.pods import (
    condition,
    ends,
    is_program_running,
    name_of,
    starts,
    text,
    was_deleted_before,
    was_program_running,
)
from launch_jobs.targets.kubernetes.waiting import Events, waiting_cause

__all__ = ["Cause", "Reading", "Seen", "read_status", "standing"]

_PATIENCE = timedelta(seconds=30)
_TARGET = "FailureTarget"
_TRIED = ("status.failed", "status.succeeded", "status.restarts", "status.ready")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the API server tells of one attempt.

    Attributes:
        object: the workload object; None: it is not there.
        pods: its pods, those found by the kind's selector; best with those that are gone, as they were last seen.
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
    if seen.object is None:
        return _orphaned(seen) if seen.pods else None
    rule = standing(kind, seen.object)
    if rule is not None and rule.state in {"succeeded", "failed"}:
        return _ended(kind, seen, rule)
    if text(seen.object, "metadata.deletionTimestamp"):
        return _orphaned(seen)
    return _alive(kind, seen, now, rule.state if rule else None)


def standing(kind: WorkloadKind, made: JsonObject) -> StatusRule | None:
    """The first rule of its kind that an object fulfils."""
    for rule in kind.status:
        if rule.condition and condition(made, rule.condition):
            return rule
        if rule.path and text(made, rule.path) in rule.values:
            return rule
    return None


def _ended(kind: WorkloadKind, seen: Seen, rule: StatusRule) -> Reading:
    made = seen.object or {}
    # A Job says why before its pods have ended; that it is over is by then our own word.
    said = condition(made, _TARGET) or (condition(made, rule.condition) if rule.condition else None)
    over = [one for pod in seen.pods for one in ends(pod)]
    ended = max((one.ended for one in over), default="") or (text(said, "lastTransitionTime") if said else "")
    started = _started(seen)
    if rule.state == "succeeded":
        return Reading(AttemptStatus("exited", 0, started=started, ended=ended or None))
    found = failure(kind, made, said, seen.pods)
    status = AttemptStatus(
        "exited",
        found.code,
        out_of_memory=found.why.cause is Cause.OUT_OF_MEMORY,
        started=started,
        ended=ended or None,
        error=found.error,
    )
    return Reading(status, found.why.cause, found.why.reason)


def _orphaned(seen: Seen) -> Reading:
    """Its object is deleted, or about to be: it runs as long as its pods do."""
    line, started = "Its object was deleted", _started(seen)
    if any(is_program_running(pod) for pod in seen.pods):
        status = AttemptStatus("running", started=started)
        return Reading(status, Cause.DELETED, f"{line}; its pods are to end")
    over = [one for pod in seen.pods for one in ends(pod)]
    ended = max((one.ended for one in over), default="") or None
    own = [one.code for one in over if not was_deleted_before(one.pod, one.ended)]
    if over and len(own) == len(over) >= len(seen.pods):
        # The program came first.
        code = next((code for code in own if code), 0)
        return Reading(AttemptStatus("exited", code, started=started, ended=ended), Cause.USER if code else Cause.NONE)
    return Reading(AttemptStatus("exited", None, started=started, ended=ended, error=line), Cause.DELETED, line)


def _alive(kind: WorkloadKind, seen: Seen, now: datetime, state: State | None) -> Reading:
    events = Events(seen.events)
    found = waiting_cause(kind, seen.object, seen.pods, events)
    if not _has_started(kind, seen, state):
        return Reading(AttemptStatus("created"), found.cause, found.reason)
    if not any(is_program_running(pod) for pod in seen.pods) and found is NOTHING:
        found = _between(kind, seen)
    lost = [pod for pod in seen.pods if _is_lost(pod, now)]
    if lost:
        node = text(lost[0], "spec.nodeName")
        found = why(Cause.NODE_LOST, f"The node {node} does not answer", f"the pod {name_of(lost[0])} was to end there")
    return Reading(AttemptStatus("running", started=_started(seen)), found.cause, found.reason)


def _has_started(kind: WorkloadKind, seen: Seen, state: State | None) -> bool:
    """Whether the program ever ran; an object's counters tell it of pods that are gone."""
    if any(was_program_running(pod) for pod in seen.pods):
        return True
    tried = [first(seen.object, path) for path in _TRIED]
    return any(tried) or (state == "running" and kind.exit_code == "object")


def _between(kind: WorkloadKind, seen: Seen) -> Why:
    """No pod runs now: the last one failed, and its object has not said yet what follows."""
    failed = [one for pod in seen.pods for one in ends(pod) if one.code]
    if not failed:
        return NOTHING
    last = max(failed, key=lambda one: one.ended)
    limit = first(seen.object, kind.retries) if kind.retries else None
    if not limit:
        return NOTHING
    return why(Cause.NONE, f"A pod ended with code {last.code}; Kubernetes' own retries ({limit}) go on")


def _is_lost(pod: JsonObject, now: datetime) -> bool:
    """Whether a pod should be gone for a while, and its node does not say so."""
    until = text(pod, "metadata.deletionTimestamp")
    return bool(until) and is_program_running(pod) and now - datetime.fromisoformat(until) > _PATIENCE


def _started(seen: Seen) -> str | None:
    return min((one for pod in seen.pods for one in starts(pod)), default=None)
