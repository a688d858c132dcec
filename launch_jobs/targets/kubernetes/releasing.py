"""An object whose pods are over but for what we keep in them, as its operator will see it once that is gone. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from pydantic import JsonValue

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.conditions import standing
from launch_jobs.targets.kubernetes.kinds import State, WorkloadKind
from launch_jobs.targets.kubernetes.paths import first, objects, part, put
from launch_jobs.targets.kubernetes.pods import text
from launch_jobs.targets.kubernetes.security import pod_specs

_COUNTS = ("replicas", "completions", "parallelism", "numNodes")
"""The first of them that an object has; a Job without completions is over when all that run at once are."""


def as_ended(kind: WorkloadKind, made: JsonObject, pods: Sequence[JsonObject]) -> JsonObject:
    """The object with its end, if these pods are all that it waits for; else as it is.

    Kubernetes' own retries follow a failed pod only when that is over, keeper and all: nothing is foretold then.
    """
    rule = standing(kind, made)
    if kind.exit_code == "object" or (rule is not None and rule.state in {"failed", "succeeded"}):
        return made
    phases = [text(pod, "status.phase") for pod in pods]
    retries = first(made, kind.retries) if kind.retries else 0
    if "Failed" in phases and not retries:
        return _with_standing(kind, made, "failed")
    if set(phases) == {"Succeeded"} and len(phases) >= pod_count(kind, made):
        return _with_standing(kind, made, "succeeded")
    return made


def pod_count(kind: WorkloadKind, made: JsonObject) -> int:
    """How many pods have to succeed, by the counts that stand above each pod template; at least one."""
    known = [place for one in kind.programs for place, _ in objects(made, one.path)]
    return max(1, sum(_count(made, place) for place in known or [place for place, _ in pod_specs(made)]))


def _count(made: JsonObject, place: str) -> int:
    """The product of the counts on the way to a place, e.g. replicas of a group times completions of its Job."""
    number, here = 1, cast("JsonValue", made)
    for step in filter(None, re.split(r"[.\[\]]+", place)):
        if isinstance(here, list):
            here = here[int(step)]
        elif isinstance(here, dict):
            here = here.get(step)
        if isinstance(here, dict):
            number *= next((one for key in _COUNTS if isinstance(one := here.get(key), int)), 1)
    return number


def _with_standing(kind: WorkloadKind, made: JsonObject, state: State) -> JsonObject:
    rule = next((one for one in kind.status if one.state == state), None)
    if rule is None:
        return made
    ended = copy.deepcopy(made)
    if rule.path and rule.values:
        put(ended, rule.path, rule.values[0])
        return ended
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    told: JsonObject = {"type": rule.condition, "status": "True", "reason": "ProgramsEnded", "lastTransitionTime": now}
    status = part(ended, "status")
    before = status.get("conditions")
    status["conditions"] = [*(before if isinstance(before, list) else []), told]
    return ended
