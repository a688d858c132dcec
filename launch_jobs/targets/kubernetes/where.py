"""Where attempts are in a cluster: their places, and what the API calls them."""

from __future__ import annotations

from dataclasses import dataclass

from launch_jobs.cluster import Cluster
from launch_jobs.run import Place
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.kinds import Kinds, WorkloadKind
from launch_jobs.targets.kubernetes.namespace import Namespace, collection, plural_of
from launch_jobs.targets.kubernetes.seen_pods import metadata_of


@dataclass(frozen=True, slots=True)
class Where:
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


class Whereabouts:
    """The places of one cluster.

    Args:
        cluster: that cluster.
        kinds: what is known of workload objects.
    """

    def __init__(self, cluster: Cluster, kinds: Kinds) -> None:
        self._cluster, self._kinds = cluster, kinds
        self._uid = ""
        self._namespaces: dict[str, Namespace] = {}
        self._plurals: dict[tuple[str, str], str] = {}
        self._placed: dict[str, str] = {}

    async def close(self) -> None:
        """End the streams of all namespaces."""
        for namespace in self._namespaces.values():
            await namespace.close()
        self._namespaces.clear()

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

    def forget(self, name: str) -> None:
        """An attempt is over."""
        self._placed.pop(name, None)

    async def where(self, place: Place) -> Where:
        """What the API calls the object at a place.

        Raises:
            LaunchError: the cluster does not know its kind.
        """
        namespace_name, kind_name, name = place.name.split("/")
        kind_word, version, *group = kind_name.split(".", 2)
        kind = self._kinds.named("/".join([*group, version]), kind_word)
        key = (kind.api_version, kind.kind)
        if key not in self._plurals:
            self._plurals[key] = await plural_of(self._cluster, kind)
        namespace = self._namespaces.setdefault(namespace_name, Namespace(self._cluster, namespace_name))
        return Where(namespace, kind, collection(kind, self._plurals[key], namespace_name), name)
