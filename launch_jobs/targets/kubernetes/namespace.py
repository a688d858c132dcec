"""What an agent sees of one namespace: workload objects, their pods, and what Kubernetes says about both."""

from __future__ import annotations

import asyncio
from typing import cast

from launch_jobs.cluster import Cluster, Forbidden
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.names import attempt_of
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.rights import WORKLOAD, Right, check_rights
from launch_jobs.targets.kubernetes.watching import Changes, Mirror


def collection(kind: WorkloadKind, plural: str, namespace: str) -> str:
    """The API's path to all objects of a kind in a namespace. Pure."""
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    return f"{root}/namespaces/{namespace}/{plural}"


class Namespace:
    """One namespace: a pair of streams for its pods, one for its events, and one for each kind of workload."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.changes = Changes()
        self._cluster = cluster
        self._checked: set[tuple[str, ...]] = set()
        self._objects: dict[str, Mirror] = {}
        self._pods: dict[str, Mirror] = {}
        self._events = Mirror(cluster, self._core("events"), "", self._attempt_of_event, self.changes)

    async def close(self) -> None:
        """End all streams."""
        await asyncio.gather(*(one.close() for one in (*self._objects.values(), *self._pods.values(), self._events)))

    async def check_rights(self, kind: WorkloadKind, path: str, *side: str) -> None:
        """Look, once, whether workloads of a kind can be made, with these things beside them, followed and removed.

        Raises:
            Forbidden: the account may not; with the rules that are missing.
        """
        needed = (path, *side)
        if needed not in self._checked:
            workload = Right(kind.group, path.rpartition("/")[2], WORKLOAD)
            await check_rights(self._cluster, self.name, workload, *(Right("", one, ("create",)) for one in side))
            self._checked.add(needed)

    def pod_path(self, pod: JsonObject) -> str:
        """The API's path to a pod."""
        return f"{self._core('pods')}/{cast('JsonObject', pod['metadata'])['name']}"

    async def seen(self, kind: WorkloadKind, path: str, name: str) -> Seen:
        """What the API server tells of an attempt, from the streams while they are whole, else asked for.

        Args:
            kind: of its workload.
            path: the API's path to all of that kind.
            name: of the attempt.
        """
        pods = await self._pods_of(kind, name)
        return Seen(await self._object(path, name), pods, await self._events_of(name))

    async def _object(self, path: str, name: str) -> JsonObject | None:
        mirror = self._objects.get(path)
        if mirror is None:
            mirror = Mirror(self._cluster, path, ATTEMPT_LABEL, _attempt_of_labels, self.changes)
            self._objects[path] = mirror
        if await mirror.current() and (held := mirror.of(name)):
            return held[-1]
        # It may have been made just now, so that the stream does not tell of it yet.
        return await self._cluster.find(f"{path}/{name}")

    async def _pods_of(self, kind: WorkloadKind, name: str) -> tuple[JsonObject, ...]:
        selector = kind.selector(name)
        key, _, value = selector.partition("=")
        mirror = self._pods.get(key)
        if mirror is None:

            def attempt(pod: JsonObject) -> str | None:
                named = _labels(pod).get(key)
                return name_of(named, kind) if isinstance(named, str) else None

            mirror = Mirror(self._cluster, self._core("pods"), key, attempt, self.changes)
            self._pods[key] = mirror
        if await mirror.current():
            pods = mirror.of(name)
        else:
            told = await self._cluster.read(self._core("pods"), {"labelSelector": f"{key}={value}"})
            pods = tuple(cast("list[JsonObject]", told.get("items") or []))
        return pods

    async def _events_of(self, name: str) -> tuple[JsonObject, ...]:
        """Events are a help, not a need: an account that may not read them does without."""
        try:
            await self._events.current()
        except Forbidden:
            return ()
        return self._events.of(name)

    def _attempt_of_event(self, event: JsonObject) -> str | None:
        about = event.get("involvedObject") or event.get("regarding")
        named = str(about.get("name")) if isinstance(about, dict) else ""
        # Pods are named after their object, whatever controller made them.
        name = "-".join(named.split("-", 3)[:3])
        return name if attempt_of(name) else None

    def _core(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self.name}/{plural}"


def name_of(value: str, kind: WorkloadKind) -> str | None:
    """The attempt whose pods have this value at the kind's selector. Pure."""
    before, _, after = kind.pods.partition("=")[2].partition("{name}")
    name = value.removeprefix(before).removesuffix(after)
    return name if attempt_of(name) else None


def _attempt_of_labels(one: JsonObject) -> str | None:
    value = _labels(one).get(ATTEMPT_LABEL)
    return value if isinstance(value, str) else None


def _labels(one: JsonObject) -> JsonObject:
    metadata = cast("JsonObject", one.get("metadata") or {})
    return cast("JsonObject", metadata.get("labels") or {})


async def plural_of(cluster: Cluster, kind: WorkloadKind) -> str:
    """The API's own word for a kind.

    Raises:
        BadInput: the cluster does not have it.
    """
    if kind.plural:
        return kind.plural
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    told = await cluster.find(root) or {}
    for one in cast("list[JsonObject]", told.get("resources") or []):
        if one.get("kind") == kind.kind and "/" not in str(one.get("name")):
            return str(one["name"])
    raise BadInput(f"This cluster has no {kind.kind} in {kind.api_version}", do="Install its definition (CRD)")
