"""Leases (`coordination.k8s.io`) by which the agents on a namespace know of each other: `launch-agent-0`, `-1`, …

An agent has one of them for as long as it lives. Their names are few and known, so that an agent needs no right to
list or delete any; one that nobody has renewed for an hour is the next agent's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launch_jobs.cluster import Cluster
    from launch_jobs.job import JsonObject

LEFT_S = 1
"""The duration of a Lease whose holder has left, as Kubernetes' own programs write it."""

_FREE_AFTER = timedelta(hours=1)
"""By clocks of different machines: much longer than they differ, and than anybody needs to learn of a death."""

_NAME = "launch-agent"


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was read.

    Attributes:
        holder: name of the agent, `_`, and the identity of its home.
        duration_s: for how long it counts after each renewal.
        renewed: when, by its holder's clock.
        acquired: when its holder got it, as text.
        version: another one after each write.
        transitions: how often its holder changed.
    """

    holder: str
    duration_s: int
    renewed: datetime
    acquired: str
    version: str
    transitions: int = 0

    @property
    def identity(self) -> str:
        """Of the holder's home."""
        return self.holder.rpartition("_")[2]


class Leases:
    """Those of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    async def read(self) -> list[Lease]:
        """All of them, in the order of their numbers."""
        found: list[Lease] = []
        while (told := await self._cluster.find(f"{self._path}/{_NAME}-{len(found)}")) is not None:
            found.append(_lease(told))
        return found

    async def renew(self, leases: Sequence[Lease], holder: str, duration_s: int) -> None:
        """Renew the holder's Lease; if it has none among those that were read, take a free one or make one.

        Raises:
            ClusterConflict: it was written since it was read.
        """
        now = datetime.now(UTC)
        number = _number(leases, holder, now)
        before = leases[number] if number < len(leases) else None
        body = _manifest(f"{_NAME}-{number}", _spec(before, holder, duration_s, now))
        if before is None:
            await self._cluster.create(self._path, body)
            return
        cast("JsonObject", body["metadata"])["resourceVersion"] = before.version
        await self._cluster.replace(f"{self._path}/{_NAME}-{number}", body)

    async def close(self) -> None:
        """Let the connection go."""
        await self._cluster.close()


def _number(leases: Sequence[Lease], holder: str, now: datetime) -> int:
    """Of the holder's own Lease, else of one that is free, else of the next one. Pure."""
    own = [number for number, lease in enumerate(leases) if lease.holder == holder]
    free = [number for number, lease in enumerate(leases) if now > lease.renewed + _FREE_AFTER]
    return [*own, *free, len(leases)][0]


def _spec(before: Lease | None, holder: str, duration_s: int, now: datetime) -> JsonObject:
    is_kept = before is not None and before.holder == holder
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": duration_s,
        "acquireTime": before.acquired if before is not None and is_kept else moment,
        "renewTime": moment,
        "leaseTransitions": before.transitions + (not is_kept) if before is not None else 0,
    }


def _manifest(name: str, spec: JsonObject) -> JsonObject:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": _NAME}},
        "spec": spec,
    }


def _lease(told: JsonObject) -> Lease:
    spec, metadata = cast("JsonObject", told.get("spec") or {}), cast("JsonObject", told["metadata"])
    renewed = str(spec.get("renewTime") or metadata["creationTimestamp"])
    return Lease(
        holder=str(spec.get("holderIdentity") or ""),
        duration_s=int(str(spec.get("leaseDurationSeconds") or LEFT_S)),
        renewed=datetime.fromisoformat(renewed),
        acquired=str(spec.get("acquireTime") or renewed),
        version=str(metadata["resourceVersion"]),
        transitions=int(str(spec.get("leaseTransitions") or 0)),
    )
