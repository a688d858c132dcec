"""Runs attempts as workload objects of a Kubernetes cluster: one object an attempt, named after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from launch_jobs import crashpoints
from launch_jobs.cluster import Cluster, ClusterAccess, ClusterConflict
from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.run import Place, Reason, Stopped
from launch_jobs.targets import AttemptStatus, LogChunk, RunSpec
from launch_jobs.targets.kubernetes.conditions import Cause, Reading, Seen, read_status
from launch_jobs.targets.kubernetes.fetching import fetch, read_notes
from launch_jobs.targets.kubernetes.following import Follower, rank_of
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.keeper import (
    HOLD_S,
    KEEPER,
    KILL,
    QUIET,
    RELEASE,
    TREE,
    as_if_released,
    has_tree,
    keeper_parts,
    keepers,
    silenced,
)
from launch_jobs.targets.kubernetes.kinds import Kinds, WorkloadKind, load_kinds
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.manifest import Workload, owned, workload
from launch_jobs.targets.kubernetes.namespace import Namespace, collection, plural_of
from launch_jobs.targets.kubernetes.policy import check_workload
from launch_jobs.targets.kubernetes.seen_pods import has_run, is_over, labels_of, metadata_of, uid_of
from launch_jobs.targets.outputs import OutputFolder

_LOOK_S = 5.0
_KILL_S = 60.0
_PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services"}
_REASONS = {
    Cause.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Cause.DEADLINE: Reason.TIMEOUT,
    Cause.PREEMPTED: Reason.PREEMPTED,
    Cause.EVICTED: Reason.INFRASTRUCTURE,
    Cause.NODE_LOST: Reason.INFRASTRUCTURE,
    Cause.DELETED: Reason.INFRASTRUCTURE,
}


@dataclass(frozen=True, slots=True)
class KeeperChoice:
    """How outputs come home.

    Attributes:
        image: of the keeper; None: the program's own.
        wait_s: how long after a program's end it waits for an agent.
    """

    image: str | None = None
    wait_s: int = 600


@dataclass(frozen=True, slots=True)
class _Where:
    """An attempt's object.

    Attributes:
        namespace: that it is in.
        kind: of the object.
        path: the API's path to all of that kind there.
        name: of the object, the attempt's.
    """

    namespace: Namespace
    kind: WorkloadKind
    path: str
    name: str


class KubernetesTarget:
    """The target of `launch-kubernetes` queues. Used in one event loop.

    Args:
        access: which cluster, and as whom.
        grants: what the agent's operator lets workloads have.
        kinds: what is known of workload objects.
        keeper: how outputs come home.
    """

    def __init__(
        self,
        access: ClusterAccess | None = None,
        *,
        grants: ClusterGrants | None = None,
        kinds: Kinds | None = None,
        keeper: KeeperChoice | None = None,
    ) -> None:
        self._cluster = Cluster(access)
        self._grants = grants or ClusterGrants()
        self._kinds = kinds or load_kinds()
        self._keeper = keeper or KeeperChoice()
        self._uid = ""
        self._namespaces: dict[str, Namespace] = {}
        self._plurals: dict[tuple[str, str], str] = {}
        self._placed: dict[str, str] = {}
        self._quiet: dict[str, str] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End the streams, and let the connections go."""
        for task in self._listening.values():
            task.cancel()
        await asyncio.gather(*self._listening.values(), return_exceptions=True)
        for namespace in self._namespaces.values():
            await namespace.close()
        self._namespaces.clear()
        await self._cluster.close()

    async def place(self, name: str) -> Place:
        """The cluster; where in it an attempt lives is known once `place_of` was asked."""
        if not self._uid:
            system = await self._cluster.read("/api/v1/namespaces/kube-system")
            self._uid = str(metadata_of(system)["uid"])
        return Place(kind="k8s", host=self._uid, name=self._placed.get(name, name))

    async def place_of(self, spec: RunSpec) -> Place:
        """Where the attempt of this spec lives: `k8s://<cluster>/<namespace>/<kind>.<version>.<group>/<name>`."""
        manifest = spec.manifest or {}
        kind = self._kinds.of(manifest)
        kind_name = ".".join(filter(None, (kind.kind, kind.version, kind.group)))
        namespace = str(metadata_of(manifest).get("namespace") or "default")
        self._placed[spec.name] = f"{namespace}/{kind_name}/{spec.name}"
        return await self.place(spec.name)

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Create the object if its name is free, else adopt it.

        Raises:
            BadInput: the cluster does not take it; says why.
            Refused: this host or the cluster does not grant what it wants, or the name is somebody else's.
        """
        place = await self.place_of(spec)
        where = await self._where(place)
        wanted = self._workload(spec)
        try:
            check_workload(wanted, self._grants)
        except Refused:
            status = await self.status(place)
            if status is None or status.state == "created":
                raise
            return status
        made = await self._created(where, wanted)
        await self._complete(where, wanted, made)
        reading = await self._reading(where)
        return reading.status if reading else AttemptStatus("created")

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        if "/" not in place.name:
            await self._cluster.read("/version")
            return None
        reading = await self._reading(await self._where(place))
        return reading.status if reading else None

    async def waiting(self, place: Place) -> AsyncIterator[str]:
        """Why the program has not started yet, each time that changes, until it has, or is over."""
        where, told = await self._where(place), ""
        with where.namespace.changes.of(where.name) as news:
            while True:
                news.clear()
                reading = await self._reading(where)
                if reading is None or reading.status.state != "created":
                    return
                if reading.reason and reading.reason != told:
                    told = reading.reason
                    yield told
                await _news(news, _LOOK_S)

    async def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from `since` until the attempt ends, of all its containers."""
        where = await self._where(place)

        async def look() -> tuple[Seen, bool]:
            seen = await self._seen(where)
            reading = read_status(where.kind, seen, datetime.now(UTC))
            return seen, reading is None or reading.status.state == "exited"

        async with aclosing(Follower(self._cluster, where.namespace, where.name, look).chunks(since)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """Delete the object, its pods politely first; returns when no program of it runs. Keepers may hold outputs.

        Raises:
            Unavailable: the cluster cannot end it, because a node does not answer, for instance.
        """
        if "/" not in place.name:
            return None
        where = await self._where(place)
        reading = await self._reading(where)
        if reading is None or reading.status.state == "exited":
            return None
        asked = _now() if reading.status.state == "running" else None
        held = list(keepers((await self._looked(where)).pods))
        # The first deletion says the grace, which no later one makes shorter: so the pods come before their object.
        await self._end_pods(where, grace_s + HOLD_S if held else grace_s)
        await self._delete(where)
        if await self._comes(where, is_over, grace_s if held else grace_s + _KILL_S):
            return Stopped(signalled=asked, gone=_now())
        killed = _now()
        await self._tell_keepers(where, KILL)
        if await self._comes(where, is_over, HOLD_S + _KILL_S):
            return Stopped(signalled=asked, killed=killed, gone=_now())
        raise Unavailable(f"{place} does not end", do=f"See `kubectl get pods -l {where.kind.selector(where.name)}`")

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Fetch what an ended attempt's pods keep; of several the first one's lies above, others' under `rank-N`.

        Raises:
            NotFound: nothing of the attempt is there any more.
        """
        where = await self._where(place)
        seen = await self._looked(where)
        if seen.object is None and not seen.pods:
            raise NotFound(f"{place} is gone, and its outputs with it")
        outputs = OutputFolder(into, spec.output_limit_bytes)
        holding = list(keepers(seen.pods))
        for pod in holding:
            rank = rank_of(pod)
            prefix = PurePosixPath() if len(seen.pods) == 1 or rank == "0" else PurePosixPath(f"rank-{rank}")
            await fetch(self._cluster, where.namespace.pod_path(pod), spec.output_dir, outputs, prefix)
            if has_tree(spec):
                await fetch(self._cluster, where.namespace.pod_path(pod), TREE, outputs, prefix)
                read_notes(outputs, into, prefix)
        if len(holding) < sum(map(has_run, seen.pods)):
            outputs.leave_out(PurePosixPath("(outputs: the pod's keeper had ended before they were fetched)"))
        return outputs.left_out

    async def remove(self, place: Place) -> None:
        """Delete the object and, by owner references, all that belongs to it. Nothing there is no error.

        Its program is over: that the API server has taken the deletion is enough, Kubernetes completes it.
        """
        if "/" not in place.name:
            return
        where = await self._where(place)
        seen = await self._looked(where)
        if any("deletionTimestamp" in metadata_of(pod) for pod in seen.pods):
            await self._tell_keepers(where, RELEASE)
        await self._end_pods(where, 1)
        await self._delete(where)
        self._placed.pop(where.name, None)
        for pod in seen.pods:
            self._quiet.pop(uid_of(pod), None)
            self._listening.pop(uid_of(pod), None)

    def _workload(self, spec: RunSpec) -> Workload:
        """The final objects of an attempt, each pod with its keeper."""
        image = self._keeper.image or spec.image
        return workload(spec, self._kinds, keeper_parts(spec, image, self._keeper.wait_s))

    async def _created(self, where: _Where, wanted: Workload) -> JsonObject:
        crashpoints.reach("start.before")
        try:
            return await self._cluster.create(where.path, wanted.object)
        except ClusterConflict as error:
            found = await self._cluster.find(f"{where.path}/{where.name}")
            if found is None:
                raise Unavailable(f"{where.name} was removed by somebody else", do="Try again") from error
            if labels_of(found).get(ATTEMPT_LABEL) == where.name:
                return found
            raise Refused(
                f"the {where.kind.kind} {where.name} in {where.namespace.name} is none of ours",
                do="Rename or remove it",
            ) from error
        except NotFound as error:
            raise BadInput(
                f"{error.what} (for a {where.kind.kind} of {where.kind.api_version} in {where.namespace.name})",
                do="Make the namespace, or install the kind's definition (CRD)",
            ) from error

    async def _complete(self, where: _Where, wanted: Workload, made: JsonObject) -> None:
        """Make what belongs to an object that has not begun; its pods wait for it."""
        for side in wanted.side:
            path = f"/api/v1/namespaces/{where.namespace.name}/{_PLURALS[str(side['kind'])]}"
            with suppress(ClusterConflict):
                await self._cluster.create(path, owned(side, made))

    async def _where(self, place: Place) -> _Where:
        namespace_name, kind_name, name = place.name.split("/")
        kind_word, version, *group = kind_name.split(".", 2)
        kind = self._kinds.named("/".join([*group, version]), kind_word)
        key = (kind.api_version, kind.kind)
        if key not in self._plurals:
            self._plurals[key] = await plural_of(self._cluster, kind)
        namespace = self._namespaces.setdefault(namespace_name, Namespace(self._cluster, namespace_name))
        return _Where(namespace, kind, collection(kind, self._plurals[key], namespace_name), name)

    async def _looked(self, where: _Where) -> Seen:
        """What is there. Of deleted pods Kubernetes does not tell how their containers fare: their keepers do."""
        seen = await where.namespace.seen(where.kind, where.path, where.name)
        for pod in keepers(seen.pods):
            if "deletionTimestamp" in metadata_of(pod) and (uid := uid_of(pod)) not in self._listening:
                self._listening[uid] = asyncio.ensure_future(self._listen(where, pod))
        pods = tuple(
            silenced(pod, self._quiet[uid]) if (uid := uid_of(pod)) in self._quiet else pod for pod in seen.pods
        )
        return Seen(seen.object, pods, seen.events)

    async def _listen(self, where: _Where, pod: JsonObject) -> None:
        """Learn from a keeper that the program of its pod is over."""
        try:
            async for _ in self._cluster.run(where.namespace.pod_path(pod), KEEPER, QUIET):
                pass
            self._quiet[uid_of(pod)] = _now()
            where.namespace.changes.tell(where.name)
        except Unavailable:
            await asyncio.sleep(1)
            del self._listening[uid_of(pod)]
        except LaunchError:
            return  # the keeper cannot be asked: the end of the pod will tell

    async def _seen(self, where: _Where) -> Seen:
        return as_if_released(await self._looked(where), where.kind)

    async def _reading(self, where: _Where) -> Reading | None:
        seen = await self._seen(where)
        reading = read_status(where.kind, seen, datetime.now(UTC))
        if reading is None:
            return None
        made = metadata_of(seen.object).get("creationTimestamp") if seen.object else None
        state = reading.status.state
        reason = _REASONS.get(reading.cause) if state == "exited" else None
        error = reading.reason if state == "created" else reading.status.error
        status = replace(reading.status, reason=reason, created=str(made) if made else None, error=error)
        return replace(reading, status=status)

    async def _delete(self, where: _Where) -> None:
        await self._cluster.delete(f"{where.path}/{where.name}", propagation=where.kind.deletion)

    async def _tell_keepers(self, where: _Where, command: tuple[str, ...]) -> None:
        """Have a command run in all keepers; one that is gone meanwhile needs it no more."""
        seen = await self._looked(where)

        async def tell(pod: JsonObject) -> None:
            with suppress(LaunchError):
                async for _ in self._cluster.run(where.namespace.pod_path(pod), KEEPER, command):
                    pass

        await asyncio.gather(*map(tell, keepers(seen.pods)))

    async def _end_pods(self, where: _Where, grace_s: float) -> None:
        seen = await self._looked(where)
        paths = [where.namespace.pod_path(pod) for pod in seen.pods]
        await asyncio.gather(*(self._cluster.delete(path, grace_s=grace_s) for path in paths))

    async def _comes(self, where: _Where, what: Callable[[Seen], bool], patience_s: float) -> bool:
        """Whether something is seen of an attempt in that many seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_s
        with where.namespace.changes.of(where.name) as news:
            while True:
                news.clear()
                if what(await self._looked(where)):
                    return True
                if clock() >= deadline:
                    return False
                await _news(news, min(_LOOK_S, deadline - clock()))


async def _news(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), seconds)


def _now() -> str:
    return datetime.now(UTC).isoformat()
