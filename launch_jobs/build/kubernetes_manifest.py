"""The Job that builds one image in a cluster, and the Secret with its registry account. Pure: docs/decisions/0009."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, cast

from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.job import JsonObject
from launch_jobs.names import ImageRef, digest_of

if TYPE_CHECKING:
    from launch_jobs.engine import Login

LABEL = "launch-jobs.org/build"
"""Its value is the Job's name; it stands on everything of a build."""

TARGET = "launch-jobs.org/image"
"""Annotation of the Job: the reference under which the image is pushed."""

STEPS = ("fetch", "build", "push")
"""The containers of a build, one after the other. No user's code runs in those that have the account."""

USER = 1000
_SCRIPT = resources.files("launch_jobs.build").joinpath("kubernetes_steps.sh").read_text()
_HOME, _WORK, _ACCOUNT, _SECRETS, _CACHE = (
    "/home/launch",
    "/work",
    "/run/launch-account",
    "/run/launch-secrets",
    "/run/launch-cache",
)


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """One image to build.

    Attributes:
        tag: as the plan names it, and as a Dockerfile does whose FROM it is.
        target: where it is pushed.
        base: where its base image is, by digest; None: it has none.
        base_name: the base image's name in its FROM.
    """

    tag: str
    target: ImageRef
    base: ImageRef | None
    base_name: str

    @property
    def name(self) -> str:
        """Of the Job: the same image for the same place has the same one, whichever agent asks."""
        kind = self.tag.rpartition("/")[2].partition(":")[0]
        return f"lb-{kind}-{digest_of(str(self.target)).removeprefix('sha256:')[:32]}"


@dataclass(frozen=True, slots=True)
class Trust:
    """How the builder's own connections to registries are made.

    Attributes:
        logins: accounts.
        certificates: PEM, trusted besides the builder image's own.
    """

    logins: tuple[Login, ...] = ()
    certificates: str | None = field(default=None, repr=False)


def build_job(build: ImageBuild, namespace: str, options: ClusterBuilder) -> JsonObject:
    """The Job: each step a container, one attempt, gone some minutes after its end even if no agent looks after it."""
    labels: JsonObject = {LABEL: build.name}
    metadata: JsonObject = {
        "name": build.name,
        "namespace": namespace,
        "labels": labels,
        "annotations": {TARGET: str(build.target)},
    }
    spec: JsonObject = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": options.deadline,
        "ttlSecondsAfterFinished": 600,
        "template": {"metadata": {"labels": labels}, "spec": _pod(build, options)},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def account_secret(made: JsonObject, trust: Trust) -> JsonObject:
    """The Secret of a Job that was made; it goes with it."""
    owner = cast("JsonObject", made["metadata"])
    name = str(owner["name"])
    metadata: JsonObject = {
        "name": name,
        "namespace": owner["namespace"],
        "labels": {LABEL: name},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner["uid"]}],
    }
    data: JsonObject = {"auth.json": _encoded(json.dumps({"auths": _accounts(trust.logins)}))}
    if trust.certificates:
        data["ca.crt"] = _encoded(trust.certificates)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "immutable": True, "data": data}


def registries_conf(plain_http: Iterable[str]) -> str:
    """What tells skopeo and buildah that short names are Docker Hub's, as for Docker, and who speaks without TLS."""
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "permissive"']
    for host in plain_http:
        lines += ["[[registry]]", f'location = "{host}"', "insecure = true"]
    return "\n".join(lines) + "\n"


def _pod(build: ImageBuild, options: ClusterBuilder) -> JsonObject:
    containers = {step: _container(step, build, options) for step in STEPS}
    pod: JsonObject = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {
            **options.node_selector,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _architecture(options),
        },
        "imagePullSecrets": [{"name": name} for name in options.image_pull_secrets],
        "initContainers": [containers["fetch"], containers["build"]],
        "containers": [containers["push"]],
        "volumes": [*_volumes(build, options)],
    }
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    return pod


def _container(step: str, build: ImageBuild, options: ClusterBuilder) -> JsonObject:
    is_build = step == "build"
    env = _build_env(options) if is_build else _account_env()
    env |= {
        "BASE": str(build.base or ""),
        "BASE_NAME": build.base_name,
        "TAG": build.tag,
        "TARGET": str(build.target),
        "ARCHITECTURE": _architecture(options),
        "REGISTRIES": registries_conf(options.plain_http),
    }
    own = {"memory": options.memory, "cpu": options.cpus} if is_build else {}
    limits: JsonObject = {name: value for name, value in own.items() if value}
    return {
        "name": step,
        "image": options.image,
        "command": ["sh", "-c", _SCRIPT, "launch-build", step],
        "workingDir": _WORK,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "resources": {"requests": limits, "limits": limits},
        "securityContext": _user_namespaces(options) if is_build else _restricted(),
        "volumeMounts": [*(_build_mounts(options) if is_build else _account_mounts())],
    }


def _restricted() -> JsonObject:
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def _user_namespaces(options: ClusterBuilder) -> JsonObject:
    """What it takes to make a user namespace with more than one user in it, and to mount there."""
    profile: JsonObject = {"type": "Unconfined"}
    if options.seccomp_profile:
        profile = {"type": "Localhost", "localhostProfile": options.seccomp_profile}
    return {
        # newuidmap and newgidmap, which map the subordinate ids, have their right from the set-user-id bit.
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "seccompProfile": profile,
        "appArmorProfile": {"type": "Unconfined"},
    }


def _account_env() -> dict[str, str]:
    return {
        "HOME": _HOME,
        "REGISTRY_AUTH_FILE": f"{_ACCOUNT}/auth.json",
        "SSL_CERT_DIR": f"{_ACCOUNT}:/etc/ssl/certs:/etc/pki/tls/certs",
    }


def _build_env(options: ClusterBuilder) -> dict[str, str]:
    account = {"REGISTRY_AUTH_FILE": f"{_CACHE}/.dockerconfigjson"} if options.layer_cache_secret else {}
    return {
        "HOME": f"{_WORK}/home",
        "LAYER_CACHE": options.layer_cache or "",
        "SECRETS": " ".join(options.secrets),
        **account,
    }


def _account_mounts() -> list[JsonObject]:
    return [
        {"name": "work", "mountPath": _WORK},
        {"name": "home", "mountPath": _HOME},
        {"name": "account", "mountPath": _ACCOUNT, "readOnly": True},
    ]


def _build_mounts(options: ClusterBuilder) -> list[JsonObject]:
    mounts: list[JsonObject] = [{"name": "work", "mountPath": _WORK}]
    if options.secrets:
        mounts.append({"name": "secrets", "mountPath": _SECRETS, "readOnly": True})
    if options.layer_cache_secret:
        mounts.append({"name": "cache", "mountPath": _CACHE, "readOnly": True})
    return mounts


def _volumes(build: ImageBuild, options: ClusterBuilder) -> list[JsonObject]:
    disk: JsonObject = {"sizeLimit": options.storage} if options.storage else {}
    volumes: list[JsonObject] = [
        {"name": "work", "emptyDir": disk},
        {"name": "home", "emptyDir": {}},
        {"name": "account", "secret": {"secretName": build.name, "defaultMode": 0o440}},
    ]
    if options.secrets:
        sources = [_source(identity, *key.split("/")) for identity, key in options.secrets.items()]
        volumes.append({"name": "secrets", "projected": {"sources": [*sources], "defaultMode": 0o440}})
    if options.layer_cache_secret:
        volumes.append({"name": "cache", "secret": {"secretName": options.layer_cache_secret, "defaultMode": 0o440}})
    return volumes


def _source(identity: str, secret: str, key: str) -> JsonObject:
    return {"secret": {"name": secret, "items": [{"key": key, "path": identity}]}}


def _accounts(logins: Iterable[Login]) -> Mapping[str, JsonObject]:
    return {host_of(one.registry): {"auth": _encoded(f"{one.username}:{one.password}")} for one in logins}


def host_of(registry: str) -> str:
    """A registry's host and port, as containers' own auth files name it; Docker Hub's many names are one."""
    host = registry.rpartition("://")[2].partition("/")[0]
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"} else host


def _architecture(options: ClusterBuilder) -> str:
    return options.platform.partition("/")[2]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
