"""What a build's pod tells, in the words of our builders: its lines, why it waits, how it ended. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from launch_jobs.errors import BuildError
from launch_jobs.job import JsonObject
from launch_jobs.names import Digest

_STEP = re.compile(r"^(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)/(?P<total>\d+): (?P<text>.*)$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_USUAL = frozenset({"", "PodInitializing", "ContainerCreating"})
_WHAT = {
    "fetch": "its base image could not be fetched",
    "build": "it could not be built",
    "push": "it could not be pushed",
}


@dataclass(frozen=True, slots=True)
class StepState:
    """How one container of a build's pod fares.

    Attributes:
        name: of the step.
        is_running: whether it runs.
        code: its exit code; None: it has not ended.
        reason: the kubelet's word for its end, or for why it waits.
        message: more of it; of an end what the step itself left to be said.
    """

    name: str
    is_running: bool = False
    code: int | None = None
    reason: str = ""
    message: str = ""


def told_step(line: str) -> tuple[str, str]:
    """A line of buildah's in the form that tells progress as other builders do, and the step that begins with it."""
    match = _STEP.match(line)
    if not match:
        return line, ""
    number, total, text = match["number"], match["total"], match["text"]
    if match["stage"]:
        return f"[stage-{match['stage']} {number}/{total}] {text}", text
    return f"Step {number}/{total} : {text}", text


def steps_of(pod: JsonObject) -> Iterator[StepState]:
    """The steps that the kubelet tells of."""
    status = cast("JsonObject", pod.get("status") or {})
    for key in ("initContainerStatuses", "containerStatuses"):
        for one in cast("list[JsonObject]", status.get(key) or []):
            yield _step_state(str(one["name"]), cast("JsonObject", one.get("state") or {}))


def _step_state(name: str, state: JsonObject) -> StepState:
    ended = cast("JsonObject | None", state.get("terminated"))
    waiting = cast("JsonObject", state.get("waiting") or {})
    told = ended or waiting
    return StepState(
        name,
        is_running="running" in state,
        code=cast("int", ended.get("exitCode", 1)) if ended else None,
        reason=str(told.get("reason") or ""),
        message=str(told.get("message") or ""),
    )


def why_waiting(pod: JsonObject) -> str:
    """Why no step of a pod runs; empty: nothing is wrong."""
    status = cast("JsonObject", pod.get("status") or {})
    for one in cast("list[JsonObject]", status.get("conditions") or []):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return f"Unschedulable: {one.get('message')}"
    for step in steps_of(pod):
        if step.code is None and not step.is_running and step.reason not in _USUAL:
            return f"{step.reason}: {step.message}" if step.message else step.reason
    return ""


def condition_of(job: JsonObject) -> JsonObject | None:
    """The condition by which a Job is over; None: it is not."""
    status = cast("JsonObject", job.get("status") or {})
    for one in cast("list[JsonObject]", status.get("conditions") or []):
        if one.get("type") in {"Complete", "Failed"} and one.get("status") == "True":
            return one
    return None


def is_over(pod: JsonObject) -> bool:
    """Whether none of its steps will run any more."""
    return cast("JsonObject", pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}


def is_disrupted(pod: JsonObject) -> bool:
    """Whether a pod ended by what happened to its node, or had to make room, and not by its build."""
    status = cast("JsonObject", pod.get("status") or {})
    conditions = cast("list[JsonObject]", status.get("conditions") or [])
    told = any(one.get("type") == "DisruptionTarget" and one.get("status") == "True" for one in conditions)
    return told and status.get("reason") != "Evicted"  # an eviction by the kubelet: it took too much itself


def pushed_digest(pod: JsonObject) -> Digest | None:
    """What the registry called the image when it was pushed."""
    said = next((step.message for step in steps_of(pod) if step.name == "push" and step.code == 0), "")
    found = _DIGEST.search(said)
    return found[0] if found else None


def failure(tag: str, condition: JsonObject, pod: JsonObject | None, step: str, tail: str) -> BuildError:
    """The error of a build that failed: what, at which step, and its last lines."""
    if condition.get("reason") == "DeadlineExceeded":
        return BuildError(
            f"image {tag} was not built within the builder's time limit, at: {step or 'its start'}\n{tail}",
            do="Raise `deadline` in [kubernetes_builder] of agent.toml",
        )
    status = cast("JsonObject", (pod or {}).get("status") or {})
    failed = next((one for one in steps_of(pod or {}) if one.code), None)
    if failed and failed.reason == "OOMKilled":
        return BuildError(
            f"image {tag} could not be built: it used more memory than a build may, at: {step or 'its start'}\n{tail}",
            do="Raise `memory` in [kubernetes_builder] of agent.toml",
        )
    if status.get("reason") == "Evicted":
        return BuildError(f"image {tag} could not be built, its pod was evicted: {status.get('message')}\n{tail}")
    what = _WHAT.get(failed.name if failed else "", "it could not be built")
    return BuildError(f"image {tag}: {what}, at: {step or 'its start'}\n{tail}")
