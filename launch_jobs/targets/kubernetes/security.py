"""Every pod spec of an object, and the Restricted pod security standard put into each, where it is silent. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.paths import items, part

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def pod_specs(value: JsonValue, place: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Every pod spec anywhere in an object, with its place: whatever has a list of containers."""
    if isinstance(value, dict):
        if any(isinstance(value.get(key), list) for key in CONTAINERS):
            yield place, value
        for key, item in value.items():
            yield from pod_specs(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from pod_specs(item, f"{place}[{number}]")


def containers(pod: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Every container of a pod spec, with its place."""
    for key in CONTAINERS:
        for number, container in enumerate(items(pod, key)):
            yield f"{key}[{number}]", container


def restrict(pod: JsonObject) -> None:
    """Restrict a pod spec where it says nothing; what it says is judged elsewhere (`policy`)."""
    security = part(pod, "securityContext")
    if not _is_root(security):
        security.setdefault("runAsNonRoot", True)
    security.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    pod.setdefault("enableServiceLinks", False)
    if pod.get("serviceAccountName") is None:
        pod.setdefault("automountServiceAccountToken", False)
    for _, container in containers(pod):
        own = part(container, "securityContext")
        if own.get("privileged") is not True:
            own.setdefault("allowPrivilegeEscalation", False)
        part(own, "capabilities").setdefault("drop", ["ALL"])
        if _is_root(own):
            own.setdefault("runAsNonRoot", False)


def _is_root(security: JsonObject) -> bool:
    return security.get("runAsUser") == 0
