"""A queue's workload object: what its operator wrote, with what the queue's other fields say. Pure."""

from __future__ import annotations

import copy
import json
from typing import cast

from pydantic import JsonValue

from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.configuration import ClusterVolume, KubernetesConfiguration
from launch_jobs.targets.kubernetes.kinds import Kinds, WorkloadKind
from launch_jobs.targets.kubernetes.labels import OURS
from launch_jobs.targets.kubernetes.paths import found, items, names_of, part, put
from launch_jobs.targets.kubernetes.places import Program, programs
from launch_jobs.targets.kubernetes.security import pod_specs

_MEND = "Mend the queue's manifest"
_KUEUE = "kueue.x-k8s.io/queue-name"
_SHORTEST_TTL_S = 600


def queue_manifest(configuration: KubernetesConfiguration, kinds: Kinds) -> JsonObject:
    """The object as each attempt of a queue starts from it: with namespace, accounts, limits, volumes, labels.

    Raises:
        BadInput: the manifest is no workload object, or has no field for what the queue asks for.
        Refused: it has fields or labels that are ours.
    """
    manifest = cast("JsonObject", _without_nulls(copy.deepcopy(configuration.manifest)))
    kind = kinds.of(manifest)
    _check_ours(manifest, configuration.namespace)
    _set_metadata(manifest, configuration)
    places = programs(manifest, kind)
    for program in places:
        _set_program(program, configuration)
    for _, pod in pod_specs(manifest):
        _set_pod(pod, configuration)
    _set_fields(manifest, kind, configuration)
    _check_ttl(manifest, kind)
    return manifest


def _without_nulls(value: JsonValue) -> JsonValue:
    """A value without keys that are null: a job variable that was not given leaves its place empty."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _check_ours(manifest: JsonObject, namespace: str) -> None:
    metadata = manifest.get("metadata", {})
    if not isinstance(metadata, dict):
        raise BadInput("metadata of the manifest is no object", do=_MEND)
    for key in ("ownerReferences", "finalizers"):
        if metadata.get(key):
            raise Refused(f"the manifest sets metadata.{key}, which is the agent's", do="Leave it out")
    if metadata.get("namespace", namespace) != namespace:
        raise Refused(
            f"the manifest names the namespace {metadata['namespace']!r}, the queue {namespace!r}",
            do="Set the queue's field namespace",
        )
    for holder in ("labels", "annotations"):
        for place, value in _everywhere(manifest, holder):
            if ours := next((key for key in value if key.startswith(OURS)), None):
                raise Refused(f"the manifest sets {ours!r} at {place}; such names are the agent's", do="Leave it out")


def _everywhere(value: JsonValue, key: str, place: str = "") -> list[tuple[str, JsonObject]]:
    """Every object of this key, however deep."""
    if isinstance(value, list):
        return [one for number, item in enumerate(value) for one in _everywhere(item, key, f"{place}[{number}]")]
    if not isinstance(value, dict):
        return []
    at = {name: f"{place}.{name}" if place else name for name in value}
    here = [(at[key], cast("JsonObject", value[key]))] if isinstance(value.get(key), dict) else []
    return here + [one for name, item in value.items() for one in _everywhere(item, key, at[name])]


def _set_metadata(manifest: JsonObject, configuration: KubernetesConfiguration) -> None:
    manifest.pop("status", None)
    metadata = part(manifest, "metadata")
    metadata.pop("generateName", None)
    metadata["namespace"] = configuration.namespace
    labels: JsonObject = {**configuration.labels}
    if configuration.kueue_queue:
        labels[_KUEUE] = configuration.kueue_queue
    for key, values in (("labels", labels), ("annotations", {**configuration.annotations})):
        if values:
            part(metadata, key).update(values)


def _set_program(program: Program, configuration: KubernetesConfiguration) -> None:
    """Limits and mounts of the program's containers, labels, user and volumes of their pods."""
    for container in program.containers:
        _set_limits(container, program, configuration)
        _add(container, "volumeMounts", [_mount(number, one) for number, one in enumerate(configuration.volumes)])
        _add(container, "env", [_secret_variable(name, key) for name, key in configuration.secret_env.items()])
    if program.pod is None or program.template is None:
        _check_no_volumes(program, configuration)
        return
    for key, values in (("labels", configuration.labels), ("annotations", configuration.annotations)):
        if values:
            part(part(program.template, "metadata"), key).update(values)
    _add(program.pod, "volumes", [_volume(number, one) for number, one in enumerate(configuration.volumes)])
    if configuration.run_as_user is not None:
        security = part(program.pod, "securityContext")
        for key in ("runAsUser", "runAsGroup", "fsGroup"):
            security.setdefault(key, configuration.run_as_user)
    if configuration.gpu_type is not None:
        part(program.pod, "nodeSelector")[configuration.gpu_label] = configuration.gpu_type


def _check_no_volumes(program: Program, configuration: KubernetesConfiguration) -> None:
    for name in ("volumes", "gpu_type", "shm_size"):
        if getattr(configuration, name):
            raise BadInput(f"{program.place} has no pod template for the queue's {name}", do="Set it in its runtime")


def _set_limits(container: JsonObject, program: Program, configuration: KubernetesConfiguration) -> None:
    limits: JsonObject = {}
    if configuration.cpus is not None:
        limits["cpu"] = f"{round(configuration.cpus * 1000)}m"
    if configuration.memory is not None:
        limits["memory"] = configuration.memory
    if configuration.gpus:
        limits[configuration.gpu_resource] = str(configuration.gpus)
    if not limits:
        return
    resources = part(container, program.resources)
    part(resources, "limits").update(limits)
    # What the operator asks for stays, unless it is more than the limit now.
    for name in limits.keys() & part(resources, "requests").keys():
        part(resources, "requests")[name] = limits[name]
    if not resources["requests"]:
        del resources["requests"]


def _set_pod(pod: JsonObject, configuration: KubernetesConfiguration) -> None:
    """What all pods of an object have in common."""
    if configuration.service_account is not None:
        pod["serviceAccountName"] = configuration.service_account
    if configuration.priority_class is not None:
        pod["priorityClassName"] = configuration.priority_class
    if configuration.node_selector:
        part(pod, "nodeSelector").update(configuration.node_selector)
    tolerations = [cast("JsonObject", one.model_dump(exclude_none=True)) for one in configuration.tolerations]
    _add(pod, "tolerations", tolerations)
    _add(pod, "imagePullSecrets", [{"name": name} for name in configuration.image_pull_secrets])


def _add(holder: JsonObject, key: str, new: list[JsonObject]) -> None:
    """Add objects to a list; one of the same name (of a mount: path) is replaced."""
    identity = "mountPath" if key == "volumeMounts" else "name"
    replaced = names_of(new, identity)
    kept = [one for one in items(holder, key) if identity not in one or one[identity] not in replaced]
    if new:
        holder[key] = [*kept, *new]


def _mount(number: int, volume: ClusterVolume) -> JsonObject:
    mount: JsonObject = {"name": f"queue-{number}", "mountPath": volume.path, "readOnly": volume.read_only}
    return mount | ({"subPath": volume.sub_path} if volume.sub_path else {})


def _volume(number: int, volume: ClusterVolume) -> JsonObject:
    named: JsonObject = {"name": f"queue-{number}"}
    if volume.claim:
        return {**named, "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only}}
    if volume.secret:
        return {**named, "secret": {"secretName": volume.secret, "defaultMode": 0o444}}
    return {**named, "configMap": {"name": volume.config}}


def _secret_variable(name: str, key: str) -> JsonObject:
    secret, _, entry = key.partition("/")
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}}


def _set_fields(manifest: JsonObject, kind: WorkloadKind, configuration: KubernetesConfiguration) -> None:
    wanted: dict[str, tuple[str | None, JsonValue]] = {
        "kueue_queue": (kind.suspend, True if configuration.kueue_queue else None),
        "ttl_seconds": (kind.ttl, configuration.ttl_seconds),
        "active_deadline": (kind.deadline, configuration.active_deadline),
    }
    for name, (path, value) in wanted.items():
        if value is None:
            continue
        if path is None:
            raise BadInput(
                f"{kind.kind} has no field for the queue's {name}", do="Leave it out, or name it in a kind file"
            )
        put(manifest, path, value)


def _check_ttl(manifest: JsonObject, kind: WorkloadKind) -> None:
    for place, value in found(manifest, kind.ttl) if kind.ttl else ():
        if isinstance(value, int) and value < _SHORTEST_TTL_S:
            raise BadInput(
                f"with {place} {json.dumps(value)} the object can be gone before an agent has read its end",
                do=f"Give it {_SHORTEST_TTL_S} or more, or leave it out: the agent removes it",
            )
