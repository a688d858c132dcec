"""Why an attempt has not started yet: from its object, pods and events to one cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.causes import NOTHING, Cause, Why, why
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.paths import first, objects
from launch_jobs.targets.kubernetes.pods import all_containers, name_of, text

_KUEUE = "kueue.x-k8s.io/queue-name"
_IMAGE = frozenset(
    {
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
        *("RegistryUnavailable", "SignatureValidationFailed"),
    }
)
_CONTAINER = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"}
)
_MOUNT = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedBinding"})
_REFUSED = ("FailedCreate", "FailedCreatePod", "Error creating")
_PULL = re.compile(
    r'Back-off pulling image "[^"]*"(: |$)|ErrImagePull: |rpc error: code = \w+ desc = '
    r'|failed to (pull and unpack image|resolve reference) "[^"]*": '
)
"""What stands before the cause; one part of it comes and goes with each try."""

_PREEMPTION = re.compile(r"[.,]?\s*(no new claims to deallocate, )?preemption: .*$", re.DOTALL)


def waiting_cause(kind: WorkloadKind, made: JsonObject | None, pods: Iterable[JsonObject], events: Events) -> Why:
    """What an attempt waits for; nothing to tell while it just starts."""
    pods = list(pods)
    if made is not None and (found := _suspended(kind, made, pods)):
        return found
    found = [cause for pod in pods if (cause := pod_cause(pod, events)) is not NOTHING]
    if found:
        worst = min(found, key=lambda one: _ORDER.index(one.cause))
        alike = sum(one.cause is worst.cause for one in found)
        return why(worst.cause, f"{alike} of {len(pods)} pods", worst.reason) if alike > 1 else worst
    return _refused(made, events) if made is not None and not pods else NOTHING


class Events:
    """The warnings about an attempt, the last one of each kind."""

    def __init__(self, events: Iterable[JsonObject]) -> None:
        warnings = [one for one in events if one.get("type", "Warning") == "Warning"]
        self._warnings = sorted(warnings, key=_moment)

    def about(self, name: str) -> Iterator[tuple[str, str]]:
        """Reason and message of those about an object of this name, the newest first."""
        for event in reversed(self._warnings):
            about = text(event, "involvedObject.name") or text(event, "regarding.name")
            if about == name:
                yield text(event, "reason"), text(event, "message") or text(event, "note")


def pod_cause(pod: JsonObject, events: Events) -> Why:
    """What one pod waits for."""
    if text(pod, "status.phase") in {"Succeeded", "Failed"}:
        return NOTHING
    for _, one in objects(pod, "status.conditions[]"):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return _unscheduled(one)
    for container in all_containers(pod):
        reason, message = text(container, "state.waiting.reason"), text(container, "state.waiting.message")
        if reason in _IMAGE:
            return why(
                Cause.IMAGE, f"The image {container.get('image')} cannot be pulled", _PULL.sub("", message) or reason
            )
        if reason in _CONTAINER:
            return why(Cause.CONFIGURATION, reason, message)
    return _unmounted(pod, events)


def _unscheduled(condition: JsonObject) -> Why:
    message = _PREEMPTION.sub("", text(condition, "message"))
    if condition.get("reason") == "SchedulingGated":
        return why(Cause.SUSPENDED, "Its pods are held back by a scheduling gate", message)
    return why(Cause.UNSCHEDULABLE, "Unschedulable", message)


def _unmounted(pod: JsonObject, events: Events) -> Why:
    is_started = any(first(one, "state.running") or first(one, "state.terminated") for one in all_containers(pod))
    for reason, message in () if is_started else events.about(name_of(pod)):
        if reason in _MOUNT:
            return why(Cause.CONFIGURATION, reason, message)
    return NOTHING


def _suspended(kind: WorkloadKind, made: JsonObject, pods: list[JsonObject]) -> Why | None:
    is_held = kind.suspend is not None and first(made, kind.suspend) is True
    if not is_held or pods:
        return None
    labels = first(made, "metadata.labels")
    queue = labels.get(_KUEUE) if isinstance(labels, dict) else None
    if queue:
        return why(Cause.SUSPENDED, f"Waits for quota in Kueue's queue {queue}")
    return why(Cause.SUSPENDED, f"Its {kind.kind} is suspended", "somebody has to resume it")


def _refused(made: JsonObject, events: Events) -> Why:
    """The API server takes the object, but not its pods: only events tell."""
    for reason, message in events.about(name_of(made)):
        if reason.startswith(_REFUSED):
            if "exceeded quota" in message or "LimitRange" in message or "must specify limits" in message:
                return why(Cause.QUOTA, "A quota refuses its pods", message)
            return why(Cause.ADMISSION, "The cluster refuses its pods", message)
    return NOTHING


def _moment(event: JsonObject) -> str:
    paths = ("series.lastObservedTime", "lastTimestamp", "eventTime", "metadata.creationTimestamp")
    return next((found for path in paths if (found := text(event, path))), "")


_ORDER = [Cause.IMAGE, Cause.CONFIGURATION, Cause.UNSCHEDULABLE, Cause.SUSPENDED]
