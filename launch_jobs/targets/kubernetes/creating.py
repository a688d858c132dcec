"""Makes the objects of an attempt, or finds them made."""

from __future__ import annotations

from contextlib import suppress

from launch_jobs import crashpoints
from launch_jobs.cluster import Cluster, ClusterConflict
from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.kubernetes.manifest import Workload, owned
from launch_jobs.targets.kubernetes.seen_pods import labels_of
from launch_jobs.targets.kubernetes.where import Where

_PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services"}


async def make(cluster: Cluster, where: Where, wanted: Workload) -> None:
    """Create the object if its name is free, else adopt it; then what belongs to it, for which its pods wait.

    Raises:
        BadInput: the cluster does not take it; says why.
        Refused: the cluster does not grant what it wants, or the name is somebody else's.
    """
    crashpoints.reach("start.before")
    plurals = [_PLURALS[str(side["kind"])] for side in wanted.side]
    is_new = True
    try:
        await where.namespace.check_rights(where.kind, where.path, *plurals)
        made = await cluster.create(where.path, wanted.object)
    except ClusterConflict:
        made, is_new = await _adopted(cluster, where), False
    except NotFound as error:
        raise BadInput(
            f"{error.what} (for a {where.kind.kind} of {where.kind.api_version} in {where.namespace.name})",
            do="Make the namespace, or install the kind's definition (CRD)",
        ) from error
    try:
        for side, plural in zip(wanted.side, plurals, strict=True):
            with suppress(ClusterConflict):
                await cluster.create(f"/api/v1/namespaces/{where.namespace.name}/{plural}", owned(side, made))
    except Unavailable:
        raise
    except LaunchError:
        if is_new:  # its pods wait for what is not allowed
            await cluster.delete(f"{where.path}/{where.name}", propagation=where.kind.deletion)
        raise


async def _adopted(cluster: Cluster, where: Where) -> JsonObject:
    found = await cluster.find(f"{where.path}/{where.name}")
    if found is None:
        raise Unavailable(f"{where.name} was removed by somebody else", do="Try again")
    if labels_of(found).get(ATTEMPT_LABEL) == where.name:
        return found
    raise Refused(
        f"the {where.kind.kind} {where.name} in {where.namespace.name} is none of ours", do="Rename or remove it"
    )
