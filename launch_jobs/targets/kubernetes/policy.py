"""What a cluster's operator lets a workload have, judged on the final object, every pod spec of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.manifest import Workload


def check_workload(workload: Workload, grants: ClusterGrants) -> None:
    """Judge all objects of an attempt, just before they are sent.

    Raises:
        Refused: they want what this agent's file ([allow.kubernetes]) does not grant; one line names all of it.
    """
    raise NotImplementedError


def pod_refusals(spec: Mapping[str, JsonValue], grants: ClusterGrants) -> Iterator[str]:
    """Everything in a pod spec that is not granted, each in a few words."""
    raise NotImplementedError


def pod_specs(value: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Every pod spec anywhere in an object, with its path: what has `containers` that are a list."""
    raise NotImplementedError
