"""From an attempt's spec to the objects that the API server gets. Pure: they can be printed and compared."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.names import canonical_json
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.kinds import Kinds, WorkloadKind
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL, OURS, label_value
from launch_jobs.targets.kubernetes.paths import first, holders, items, names_of, objects, part, put, put_default
from launch_jobs.targets.kubernetes.places import Program, programs
from launch_jobs.targets.kubernetes.pods import PROGRAM_CONTAINERS
from launch_jobs.targets.kubernetes.ranks import rank_service, set_ranks
from launch_jobs.targets.kubernetes.security import pod_specs, restrict
from launch_jobs.targets.kubernetes.side_objects import SideObjects, check_size, side_objects
from launch_jobs.targets.kubernetes.yaml_documents import read_documents

_SHM = "launch-shm"
_LABEL_PREFIX = "org.launch-jobs."


@dataclass(frozen=True, slots=True)
class PodParts:
    """What a target adds to each pod that runs the program (how outputs come home, how datasets get in).

    Attributes:
        containers: further containers.
        init_containers: before the program, after the manifest's own.
        volumes: of the pod.
        mounts: volumeMounts of the containers that run the program.
        env: further variables of these, in Kubernetes' own form.
        wrapper: words before the program's command.
        settings: fields of the pod spec.
    """

    containers: tuple[JsonObject, ...] = ()
    init_containers: tuple[JsonObject, ...] = ()
    volumes: tuple[JsonObject, ...] = ()
    mounts: tuple[JsonObject, ...] = ()
    env: tuple[JsonObject, ...] = ()
    wrapper: tuple[str, ...] = ()
    settings: JsonObject = field(default_factory=JsonObject)


@dataclass(frozen=True, slots=True)
class Workload:
    """The objects of one attempt.

    Attributes:
        kind: of the workload object.
        object: the workload, final and complete; it has metadata.name, namespace, labels, annotations.
        side: Secret, ConfigMap, Service: made after the workload, each through `owned`.
    """

    kind: WorkloadKind
    object: JsonObject
    side: tuple[JsonObject, ...] = ()

    @property
    def name(self) -> str:
        """Of the workload object: the attempt's own."""
        return str(_metadata(self.object)["name"])

    @property
    def namespace(self) -> str:
        """Of all its objects."""
        return str(_metadata(self.object)["namespace"])


def workload(spec: RunSpec, kinds: Kinds, parts: PodParts | None = None) -> Workload:
    """The objects of an attempt: `spec.manifest` with image, command, variables and our labels in it.

    Raises:
        BadInput: the manifest has no place for the program, or not for what the spec asks for; or that is too much.
    """
    if spec.manifest is None:
        raise BadInput(f"{spec.name} has no manifest", do="Run it on a Kubernetes queue")
    made = copy.deepcopy(spec.manifest)
    kind = kinds.of(made)
    _set_metadata(made, spec)
    for default in kind.defaults:
        put_default(made, default.path, default.value)
    if kind.retries:
        put_default(made, kind.retries, 0)
    side = side_objects(spec, str(_metadata(made)["namespace"]))
    places = programs(made, kind)
    _set_programs(places, kind, spec, _with_ours(parts or PodParts(), side))
    _set_command_line(made, kind, spec)
    needs_service = set_ranks(made, kind, places)
    _set_pods(made, kind, spec)
    check_size(f"command and variables, in the {kind.kind},", len(canonical_json(made)))
    service = (rank_service(spec.name, str(_metadata(made)["namespace"])),) if needs_service else ()
    return Workload(kind, made, (*side.objects, *service))


def owned(side: JsonObject, owner: JsonObject) -> JsonObject:
    """A side object with an owner reference to the workload object as the API server returned it (with its uid)."""
    metadata = _metadata(owner)
    reference: JsonObject = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {**side, "metadata": {**_metadata(side), "ownerReferences": [reference]}}


def read_manifest(text: str, where: str = "the manifest") -> JsonObject:
    """One object from YAML or JSON text, as an operator writes it.

    Raises:
        BadInput: it is no YAML, has several documents or repeated keys, or is no object.
    """
    documents = read_documents(text, where)
    if len(documents) != 1:
        raise BadInput(
            f"{where} holds {len(documents)} documents, not one", do="A queue makes one object for each attempt"
        )
    return documents[0]


def _metadata(made: JsonObject) -> JsonObject:
    return part(made, "metadata")


def _set_metadata(made: JsonObject, spec: RunSpec) -> None:
    metadata = _metadata(made)
    metadata["name"] = spec.name
    metadata.setdefault("namespace", "default")
    _set_labels(metadata, spec)


def _set_labels(metadata: JsonObject, spec: RunSpec) -> None:
    """Who an object or pod belongs to: short in labels, whole in annotations."""
    names = {OURS + key.removeprefix(_LABEL_PREFIX): value for key, value in sorted(spec.labels.items())}
    part(metadata, "labels").update({key: label_value(value) for key, value in names.items()})
    part(metadata, "labels")[ATTEMPT_LABEL] = spec.name
    part(metadata, "annotations").update(names)


def _with_ours(parts: PodParts, side: SideObjects) -> PodParts:
    """What the target adds, and the volumes and variables that our own side objects are behind."""
    return PodParts(
        containers=parts.containers,
        init_containers=parts.init_containers,
        volumes=(*side.volumes, *parts.volumes),
        mounts=(*side.mounts, *parts.mounts),
        env=(*side.env, *parts.env),
        wrapper=parts.wrapper,
        settings=parts.settings,
    )


def _set_programs(places: tuple[Program, ...], kind: WorkloadKind, spec: RunSpec, parts: PodParts) -> None:
    for program in places:
        for container in program.containers:
            _set_container(container, spec, parts, is_run=program.runs_command and kind.command_line is None)
        if program.pod is None:
            _check_no_pod(program, spec, parts)
        else:
            _set_program_pod(program, program.pod, spec, parts)


def _set_command_line(made: JsonObject, kind: WorkloadKind, spec: RunSpec) -> None:
    if kind.command_line:
        if not spec.command:
            raise BadInput(f"a {kind.kind} needs a command of the job's own", do="Name it: --entrypoint '…'")
        put(made, kind.command_line, shlex.join(spec.command))


def _set_container(container: JsonObject, spec: RunSpec, parts: PodParts, *, is_run: bool) -> None:
    container["image"] = spec.image
    if is_run and spec.command:
        container["command"] = [*parts.wrapper, *spec.command]
        container.pop("args", None)
    if spec.directory is not None and "name" in container:
        container["workingDir"] = spec.directory
    by_side = names_of(parts.env)
    plain = [
        cast("JsonObject", {"name": name, "value": value})
        for name, value in sorted(spec.env.items())
        if name not in by_side
    ]
    ours = [*plain, *parts.env]
    names = names_of(ours)
    container["env"] = [*(one for one in items(container, "env") if one.get("name") not in names), *ours]
    if mounts := [*parts.mounts, *([{"name": _SHM, "mountPath": "/dev/shm"}] if spec.shm_bytes else [])]:  # noqa: S108 # where it is
        _extend(container, "volumeMounts", cast("list[JsonObject]", mounts))


def _check_no_pod(program: Program, spec: RunSpec, parts: PodParts) -> None:
    """An object that takes no volumes: what is in files cannot get into its pods."""
    needs = {"secrets": spec.secrets, "config files": spec.files, "datasets": spec.datasets}
    for what, wanted in {**needs, "shared memory": spec.shm_bytes}.items():
        if wanted:
            raise BadInput(f"{program.place} takes no volume for {what}", do="Use a kind of object with pod templates")
    for container in program.containers:
        # Its pods come from elsewhere, and have none of the target's volumes.
        container.pop("volumeMounts", None)
        if parts.wrapper and spec.command:
            container["command"] = list(spec.command)


def _set_program_pod(program: Program, pod: JsonObject, spec: RunSpec, parts: PodParts) -> None:
    metadata = _metadata(program.template or {})
    _set_labels(metadata, spec)
    part(metadata, "annotations")[PROGRAM_CONTAINERS] = ",".join(str(one["name"]) for one in program.containers)
    pod.update(parts.settings)
    pod.setdefault("terminationGracePeriodSeconds", round(spec.stop_grace_s))
    theirs = names_of(items(pod, "volumes"))
    _extend(pod, "volumes", (one for one in parts.volumes if one["name"] not in theirs))
    if spec.shm_bytes:
        memory: JsonObject = {"medium": "Memory", "sizeLimit": str(spec.shm_bytes)}
        _extend(pod, "volumes", [{"name": _SHM, "emptyDir": memory}])
    _extend(pod, "initContainers", parts.init_containers)
    _extend(pod, "containers", parts.containers)


def _extend(holder: JsonObject, key: str, new: Iterable[JsonObject]) -> None:
    if more := list[JsonValue](copy.deepcopy(list(new))):
        holder[key] = [*items(holder, key), *more]


def _set_pods(made: JsonObject, kind: WorkloadKind, spec: RunSpec) -> None:
    """What every pod gets: the label it is found by, restrictions, and what its Job makes of a disruption."""
    for _, pod in pod_specs(made):
        restrict(pod)
    for _, job in objects(made, kind.job_specs) if kind.job_specs else ():
        _tell_disruptions(job)
    if kind.pod_labels:
        put_default(made, kind.pod_labels, {})
        for holder, key in holders(made, kind.pod_labels):
            part(holder, key)[ATTEMPT_LABEL] = spec.name


def _tell_disruptions(job: JsonObject) -> None:
    """A Job says itself that its pod was taken away, for the pod is gone by then; its own retries do not count that."""
    if first(job, "template.spec.restartPolicy") == "Never":
        action = "Ignore" if job.get("backoffLimit") else "FailJob"
        condition: JsonObject = {"type": "DisruptionTarget", "status": "True"}
        job.setdefault("podFailurePolicy", {"rules": [{"action": action, "onPodConditions": [condition]}]})
