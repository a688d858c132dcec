"""What a pod may mount: the volume types of the Restricted standard, granted folders of nodes and Secrets. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.paths import first, items

_HARMLESS = frozenset(
    {"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"}
)


def volume_refusals(pod: JsonObject, grants: ClusterGrants, own_secrets: frozenset[str]) -> Iterator[str]:
    """Every volume of a pod that is not granted, each in a few words."""
    secrets = (*grants.secrets, *own_secrets)
    for volume in items(pod, "volumes"):
        for key in volume.keys() - _HARMLESS:
            yield from _refusals(key, volume, grants, secrets)


def _refusals(key: str, volume: JsonObject, grants: ClusterGrants, secrets: tuple[str, ...]) -> Iterator[str]:
    if key == "hostPath":
        path = str(first(volume, "hostPath.path") or "")
        if not _is_within(path, grants.host_paths):
            yield f"hostPath {path[:80]!r}"
    elif key == "secret":
        name = first(volume, "secret.secretName")
        if name not in secrets:
            yield f"the Secret {str(name)[:80]}"
    elif key == "projected":
        projected = volume.get("projected")
        for source in items(projected, "sources") if isinstance(projected, dict) else ():
            yield from _projected_refusals(source, grants, secrets)
    elif volume[key] is not None:
        yield f"a volume of type {key[:80]}"


def _projected_refusals(source: JsonObject, grants: ClusterGrants, secrets: tuple[str, ...]) -> Iterator[str]:
    name = first(source, "secret.name")
    if "secret" in source and name not in secrets:
        yield f"the Secret {str(name)[:80]}"
    if "serviceAccountToken" in source and not grants.service_accounts:
        yield "a token of the service account (projected)"


def _is_within(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a path is one of these folders, or below; one that is not plain is none."""
    if not path.startswith("/") or ".." in path.split("/"):
        return False
    pure = posixpath.normpath(path)
    return any(pure == folder or pure.startswith(folder.rstrip("/") + "/") for folder in folders)
