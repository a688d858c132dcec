"""What a cluster's operator lets a workload have, judged on the final object, every pod spec of it. Pure.

The Restricted pod security standard, and what a namespace holds that is not a run's: accounts, Secrets, nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from launch_jobs.errors import Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.env import is_hostile
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.manifest import Workload
from launch_jobs.targets.kubernetes.paths import items
from launch_jobs.targets.kubernetes.policy_containers import container_refusals, shared_refusals
from launch_jobs.targets.kubernetes.policy_volumes import volume_refusals
from launch_jobs.targets.kubernetes.security import containers, pod_specs

__all__ = ["check_workload", "pod_refusals", "pod_specs"]

_POD_KEYS = frozenset(
    {
        *("containers", "initContainers", "ephemeralContainers", "volumes", "serviceAccountName", "serviceAccount"),
        *("hostNetwork", "hostPID", "hostIPC", "nodeName", "tolerations", "priorityClassName"),
    }
)
_HARMLESS_SYSCTLS = ("kernel.shm_rmid_forced", "net.ipv4.ping_group_range", "net.ipv4.tcp_")
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_ANNOTATIONS = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")


def check_workload(workload: Workload, grants: ClusterGrants) -> None:
    """Judge all objects of an attempt, just before they are sent.

    Raises:
        Refused: they want what this agent's file ([allow.kubernetes]) does not grant; one line names all of it.
    """
    own = frozenset(str(_dict(one, "metadata").get("name")) for one in workload.side if one.get("kind") == "Secret")
    found = [*_namespace_refusals(workload.namespace, grants)]
    for place, pod in _pods(workload.object):
        found += [f"{place}: {what}" for what in pod_refusals(pod, grants, own)]
    found += _annotation_refusals(workload.object)
    if found:
        raise Refused(
            f"This agent does not grant {'; '.join(dict.fromkeys(found))}",
            do="Its operator allows it in agent.toml, [allow.kubernetes]",
        )


def pod_refusals(
    spec: Mapping[str, JsonValue], grants: ClusterGrants, own_secrets: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Everything in a pod spec (or a part of one) that is not granted, each in a few words."""
    pod = _Pod(dict(spec), grants)
    yield from _host_refusals(pod)
    yield from _account_refusals(pod)
    yield from _node_refusals(pod)
    yield from _security_refusals(pod)
    yield from volume_refusals(pod.spec, grants, own_secrets)
    for place, container in containers(pod.spec):
        refusals = container_refusals(container, grants, own_secrets, pod_security=_dict(pod.spec, "securityContext"))
        yield from (f"{what} ({place})" for what in refusals)
        for variable in items(container, "env"):
            if is_hostile(str(variable.get("name"))):
                yield f"the environment variable {str(variable.get('name'))[:80]} ({place})"


@dataclass(frozen=True, slots=True)
class _Pod:
    spec: JsonObject
    grants: ClusterGrants


def _pods(value: JsonValue, place: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Whatever is, or changes, a pod spec; some kinds only name what differs from a runtime's."""
    if isinstance(value, dict):
        if value.keys() & _POD_KEYS:
            yield place, value
        for key, item in value.items():
            yield from _pods(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _pods(item, f"{place}[{number}]")


def _namespace_refusals(namespace: str, grants: ClusterGrants) -> Iterator[str]:
    if grants.namespaces is None and namespace.startswith("kube-"):
        yield f"the namespace {namespace}, which is Kubernetes' own"
    if grants.namespaces is not None and namespace not in grants.namespaces:
        yield f"the namespace {namespace}"


def _host_refusals(pod: _Pod) -> Iterator[str]:
    grants = pod.grants
    granted = {"hostNetwork": grants.host_network, "hostPID": grants.host_pid, "hostIPC": grants.host_ipc}
    yield from (key for key, is_granted in granted.items() if pod.spec.get(key) and not is_granted)


def _account_refusals(pod: _Pod) -> Iterator[str]:
    named = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
    if named and named not in pod.grants.service_accounts:
        yield f"the service account {str(named)[:80]}"
    elif pod.spec.get("automountServiceAccountToken") and not named and "default" not in pod.grants.service_accounts:
        yield "the token of the namespace's service account (automountServiceAccountToken)"


def _node_refusals(pod: _Pod) -> Iterator[str]:
    if pod.grants.any_node:
        return
    if pod.spec.get("nodeName"):
        yield f"the node {str(pod.spec['nodeName'])[:80]} by its name (nodeName)"
    if str(pod.spec.get("priorityClassName") or "").startswith("system-"):
        yield f"the priority {pod.spec['priorityClassName']}"
    for toleration in items(pod.spec, "tolerations"):
        key = str(toleration.get("key") or "")
        if key in _CONTROL_PLANE or not key:
            yield f"a toleration of {key or 'every taint'}"


def _security_refusals(pod: _Pod) -> Iterator[str]:
    security = _dict(pod.spec, "securityContext")
    yield from shared_refusals(security, pod.grants)
    for sysctl in items(security, "sysctls"):
        name = str(sysctl.get("name"))
        if not name.startswith(_HARMLESS_SYSCTLS) and not pod.grants.privileged:
            yield f"the sysctl {name[:80]}"


def _annotation_refusals(value: JsonValue) -> Iterator[str]:
    """Old ways to take a profile off, which old clusters still know."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, one in item.items():
                if key.startswith(_ANNOTATIONS) and one == "unconfined":
                    yield f"the annotation {key}: unconfined"
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _dict(holder: Mapping[str, JsonValue], key: str) -> JsonObject:
    found = holder.get(key)
    return found if isinstance(found, dict) else {}
