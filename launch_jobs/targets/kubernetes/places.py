"""Where in a workload object the program goes: its containers, their pods. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.kinds import ProgramPlace, WorkloadKind
from launch_jobs.targets.kubernetes.paths import holders, items, objects, part
from launch_jobs.targets.kubernetes.security import pod_specs

_MEND = "Mend the queue's manifest"


@dataclass(frozen=True, slots=True)
class Program:
    """One place for the program in an object; its parts are the object's own, to be changed.

    Attributes:
        place: for people, e.g. `spec.tasks[0].template`.
        containers: that run it.
        template: the pod template around; None: the object has a form of its own for one container.
        pod: the spec in this template.
        resources: name of the field with a container's limits.
        runs_command: whether the containers get the command.
    """

    place: str
    containers: tuple[JsonObject, ...]
    template: JsonObject | None = None
    pod: JsonObject | None = None
    resources: str = "resources"
    runs_command: bool = True


def programs(manifest: JsonObject, kind: WorkloadKind) -> tuple[Program, ...]:
    """The places for the program; a pod template without containers gets one.

    Raises:
        BadInput: there is none.
    """
    places = [program for one in kind.programs or _anywhere(manifest) for program in _at(manifest, one, kind)]
    if not places:
        expected = ", ".join(one.path for one in kind.programs) or "no pod template with containers"
        raise BadInput(f"the manifest, a {kind.kind}, has no place for a program ({expected})", do=_MEND)
    if not any(one.containers for one in places):
        raise BadInput(
            f"every container of the manifest has an image, so none is the job's ({places[0].place})",
            do="Leave `image` out of the container that shall run it",
        )
    return tuple(one for one in places if one.containers)


def _anywhere(manifest: JsonObject) -> list[ProgramPlace]:
    """The pod templates of an object that no file describes: whatever holds a pod spec."""
    found = [place for place, _ in pod_specs(manifest)]
    paths = {_generic(place.removesuffix(".spec")) for place in found if place.endswith(".spec")}
    return [ProgramPlace.model_construct(path=path) for path in sorted(paths)]


def _generic(place: str) -> str:
    """`spec.tasks[1].template` → `spec.tasks[].template`."""
    return re.sub(r"\[[0-9]+\]", "[]", place)


def _at(manifest: JsonObject, place: ProgramPlace, kind: WorkloadKind) -> list[Program]:
    for holder, key in holders(manifest, place.path):
        part(holder, key)
    return [_program(at, found, place, kind) for at, found in objects(manifest, place.path)]


def _program(at: str, found: JsonObject, place: ProgramPlace, kind: WorkloadKind) -> Program:
    if place.shape == "container":
        free = (found,) if not found.get("image") else ()
        return Program(at, free, resources=place.resources, runs_command=place.runs_command)
    pod = part(found, "spec")
    if not items(pod, "containers"):
        pod["containers"] = [{"name": kind.container}]
    free = tuple(one for one in items(pod, "containers") if not one.get("image"))
    for number, one in enumerate(free):
        one.setdefault("name", kind.container if number == 0 else f"{kind.container}-{number}")
    return Program(at, free, found, pod, place.resources, place.runs_command)
