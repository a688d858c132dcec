"""What an attempt needs beside its workload: a Secret for secrets, a ConfigMap for files and large values. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.labels import ATTEMPT_LABEL
from launch_jobs.targets.secret_files import CONTAINER_SECRETS

_SECRETS, _INPUTS = "launch-secrets", "launch-inputs"
_LONGEST_VALUE = 16 << 10
_LARGEST = 1_000_000
_FILE = 0o444
"""Only the program's containers mount it, and its user may be any."""


@dataclass(frozen=True, slots=True)
class SideObjects:
    """Objects beside a workload, and what of a pod refers to them.

    Attributes:
        objects: Secret and ConfigMap, where there is something to put in.
        volumes: of the pods.
        mounts: of the program's containers.
        env: of these, in Kubernetes' own form.
    """

    objects: tuple[JsonObject, ...] = ()
    volumes: tuple[JsonObject, ...] = ()
    mounts: tuple[JsonObject, ...] = ()
    env: tuple[JsonObject, ...] = ()


def side_objects(spec: RunSpec, namespace: str) -> SideObjects:
    """What an attempt needs beside its workload object.

    Raises:
        BadInput: more than an object can hold; or files of an image that does not say where its source tree is.
    """
    secrets, inputs = _secrets(spec, namespace), _inputs(spec, namespace)
    return SideObjects(
        (*secrets.objects, *inputs.objects),
        (*secrets.volumes, *inputs.volumes),
        (*secrets.mounts, *inputs.mounts),
        (*secrets.env, *inputs.env),
    )


def _secrets(spec: RunSpec, namespace: str) -> SideObjects:
    if not spec.secrets:
        return SideObjects()
    name = f"{spec.name}-secrets"
    data: JsonObject = {one.name: base64.b64encode(one.value.get_secret_value()).decode() for one in spec.secrets}
    check_size("secrets", sum(len(str(value)) for value in data.values()))
    env = tuple(
        cast("JsonObject", {"name": one.variable, "valueFrom": {"secretKeyRef": {"name": name, "key": one.name}}})
        for one in spec.secrets
        if one.variable
    )
    made: JsonObject = {**_object("Secret", name, spec, namespace), "type": "Opaque", "data": data}
    volume: JsonObject = {"name": _SECRETS, "secret": {"secretName": name, "defaultMode": _FILE}}
    return SideObjects((made,), (volume,), tuple(_secret_mount(key) for key in data), env)


def _secret_mount(key: str) -> JsonObject:
    """One file: the folder stays the container's, for a service account's token has its place in there, too."""
    return {"name": _SECRETS, "mountPath": f"{CONTAINER_SECRETS}/{key}", "subPath": key, "readOnly": True}


def _inputs(spec: RunSpec, namespace: str) -> SideObjects:
    """Config files and values that are too long for a pod's own description, which every list of pods carries."""
    name = f"{spec.name}-inputs"
    large = {key: value for key, value in sorted(spec.env.items()) if len(value.encode()) > _LONGEST_VALUE}
    data: JsonObject = {**{f"file-{number}": file.after for number, file in enumerate(spec.files)}, **large}
    if not data:
        return SideObjects()
    check_size("config files and variables", sum(len(str(value).encode()) for value in data.values()))
    env = tuple(
        cast("JsonObject", {"name": key, "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}) for key in large
    )
    made: JsonObject = {**_object("ConfigMap", name, spec, namespace), "data": data}
    if not spec.files:
        return SideObjects((made,), env=env)
    keys: list[JsonValue] = [{"key": f"file-{number}", "path": f"file-{number}"} for number in range(len(spec.files))]
    volume: JsonObject = {"name": _INPUTS, "configMap": {"name": name, "items": keys}}
    return SideObjects((made,), (volume,), _file_mounts(spec), env)


def _file_mounts(spec: RunSpec) -> tuple[JsonObject, ...]:
    folder = spec.root or spec.directory
    if folder is None:
        raise BadInput(
            "the image does not say where its source tree is, so its config files cannot be changed",
            do="Name the working directory in the job, or give the values as arguments",
        )
    return tuple(
        {
            "name": _INPUTS,
            "mountPath": str(PurePosixPath(folder, file.path)),
            "subPath": f"file-{number}",
            "readOnly": True,
        }
        for number, file in enumerate(spec.files)
    )


def _object(kind: str, name: str, spec: RunSpec, namespace: str) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": namespace, "labels": {ATTEMPT_LABEL: spec.name}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "immutable": True}


def check_size(what: str, size: int) -> None:
    """Judge whether one object can hold that much.

    Raises:
        BadInput: it cannot.
    """
    if size > _LARGEST:
        raise BadInput(
            f"the {what} of this run take {size:,} bytes", do=f"Kubernetes takes {_LARGEST:,}: use a dataset"
        )
