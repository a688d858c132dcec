"""From an attempt's spec to the objects that the API server gets. Pure: they can be printed and compared."""

from __future__ import annotations

from dataclasses import dataclass

from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.kinds import Kinds, WorkloadKind


@dataclass(frozen=True, slots=True)
class PodParts:
    """What a target adds to each pod that runs the program (how outputs come home, how datasets get in).

    Attributes:
        containers: further containers.
        init_containers: before the program.
        volumes: of the pod.
        mounts: volumeMounts of the containers that run the program.
        env: further variables of these, in Kubernetes' own form.
        wrapper: words before the program's command.
    """

    containers: tuple[JsonObject, ...] = ()
    init_containers: tuple[JsonObject, ...] = ()
    volumes: tuple[JsonObject, ...] = ()
    mounts: tuple[JsonObject, ...] = ()
    env: tuple[JsonObject, ...] = ()
    wrapper: tuple[str, ...] = ()


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
        raise NotImplementedError

    @property
    def namespace(self) -> str:
        """Of all its objects."""
        raise NotImplementedError


def workload(spec: RunSpec, kinds: Kinds, parts: PodParts | None = None) -> Workload:
    """The objects of an attempt: `spec.manifest` with image, command, variables, limits and our labels in it.

    Raises:
        BadInput: the manifest has no place for the program.
        Refused: it has labels or fields that are ours.
    """
    raise NotImplementedError


def owned(side: JsonObject, owner: JsonObject) -> JsonObject:
    """A side object with an owner reference to the workload object as the API server returned it (with its uid)."""
    raise NotImplementedError


def read_manifest(text: str, where: str = "the manifest") -> JsonObject:
    """One object from YAML or JSON text, as an operator writes it.

    Raises:
        BadInput: it is no YAML, has several documents or repeated keys, or is no object with apiVersion and kind.
    """
    raise NotImplementedError
