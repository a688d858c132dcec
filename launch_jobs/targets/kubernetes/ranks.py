"""RANK, WORLD_SIZE and MASTER_ADDR for workloads of several pods whose operator tells them nothing. Pure."""

from __future__ import annotations

from typing import cast

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.paths import first, items, names_of, objects, part
from launch_jobs.targets.kubernetes.places import Program

_PORT = "29500"
_INDEX = "batch.kubernetes.io/job-completion-index"
_JOB_INDEX = "jobset.sigs.k8s.io/job-index"


def set_ranks(made: JsonObject, kind: WorkloadKind, places: tuple[Program, ...]) -> bool:
    """Put ranks into the program's containers; whether a service of the object's name has to lead to its pods."""
    if kind.ranks == "job":
        return _set_of_job(made, places)
    if kind.ranks == "jobset":
        _set_of_jobset(made, places)
    return False


def rank_service(name: str, namespace: str) -> JsonObject:
    """The headless service that gives each pod of an indexed Job a name, before it is ready, too."""
    selector: JsonObject = {ATTEMPT_LABEL: name}
    metadata: JsonObject = {"name": name, "namespace": namespace, "labels": dict(selector)}
    spec: JsonObject = {"clusterIP": "None", "selector": selector, "publishNotReadyAddresses": True}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _set_of_job(made: JsonObject, places: tuple[Program, ...]) -> bool:
    size = _indexed(cast("JsonObject", made.get("spec") or {}))
    if size < 2:
        return False
    name = str(part(made, "metadata")["name"])
    for place in places:
        if place.pod is not None:
            place.pod.setdefault("subdomain", name)
        _set(place, _INDEX, size, f"{name}-0.{name}")
    return True


def _set_of_jobset(made: JsonObject, places: tuple[Program, ...]) -> None:
    """Ranks where the program is one group of Jobs, with one Job of many pods or many Jobs of one pod."""
    groups = [one for _, one in objects(made, "spec.replicatedJobs[]")]
    if len(groups) != 1 or len(places) != 1:
        return
    group, name = groups[0], str(part(made, "metadata")["name"])
    replicas = group.get("replicas", 1)
    job = first(group, "template.spec")
    pods = _indexed({"completionMode": "Indexed", **job}) if isinstance(job, dict) else 1
    head = f"{name}-{group.get('name')}-0-0.{name}"
    if replicas == 1 and pods > 1:
        _set(places[0], _INDEX, pods, head)
    elif isinstance(replicas, int) and replicas > 1 and pods <= 1:
        _set(places[0], _JOB_INDEX, replicas, head)


def _indexed(job: JsonObject) -> int:
    """How many pods an indexed Job runs at once; 0 if it is none, or runs them one after another."""
    completions, parallelism = job.get("completions"), job.get("parallelism", 1)
    if job.get("completionMode") != "Indexed" or not isinstance(completions, int):
        return 0
    return completions if completions == parallelism else 0


def _set(place: Program, annotation: str, size: int, head: str) -> None:
    rank: JsonObject = {"fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
    new: list[JsonObject] = [
        {"name": "RANK", "valueFrom": rank},
        {"name": "WORLD_SIZE", "value": str(size)},
        {"name": "MASTER_ADDR", "value": head},
        {"name": "MASTER_PORT", "value": _PORT},
    ]
    for container in place.containers:
        theirs = names_of(items(container, "env"))
        container["env"] = [*items(container, "env"), *(one for one in new if one["name"] not in theirs)]
