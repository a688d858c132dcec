"""Hostile pods: every way to a node's or a namespace's power is refused on the final object, and grants widen it."""

from __future__ import annotations

import copy
import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.agent_file import AgentFile
from launch_jobs.errors import LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.manifest import Workload, workload
from launch_jobs.targets.kubernetes.policy import check_workload
from launch_jobs.targets.render import Attempt, render_kubernetes

KINDS = load_kinds()
NOTHING = ClusterGrants()
ATTEMPT = Attempt(run_id="0" * 32, number=1, job="j@sha256:0", queue="q", image="i", command=("true",))
TEMPLATES: dict[str, Any] = {
    "job": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {}}},
    "volcano": {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": [{"template": {}}]}},
    "cron": {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}}},
    },
}


def _workload(pod: JsonObject | None = None, kind: str = "job", **values: Any) -> Workload:
    manifest = copy.deepcopy(TEMPLATES[kind])
    holder = {
        "job": lambda: manifest["spec"]["template"],
        "volcano": lambda: manifest["spec"]["tasks"][0]["template"],
        "cron": lambda: manifest["spec"]["jobTemplate"]["spec"]["template"],
    }[kind]()
    holder["spec"] = {**holder.get("spec", {}), **(pod or {})}
    configuration = KubernetesConfiguration.model_validate({"manifest": manifest, **values})
    return workload(render_kubernetes(ATTEMPT, configuration, KINDS), KINDS)


def _with_container(**fields: Any) -> JsonObject:
    return {"containers": [{"name": "main", **fields}]}


def _secured(**fields: Any) -> JsonObject:
    return _with_container(securityContext=fields)


def test_what_we_render_needs_no_grant() -> None:
    """Our own objects, secrets and limits included, need nothing; nor does a queue that asks for volumes of its own."""
    values: dict[str, Any] = {
        "secrets": ["key=KEY"],
        "gpus": 2,
        "shm_size": "1Gi",
        "volumes": [{"path": "/d", "claim": "c"}],
    }
    for kind in TEMPLATES:
        check_workload(_workload(kind=kind, **values), NOTHING)


HARMLESS: list[JsonObject] = [
    {"hostUsers": False},
    {"hostNetwork": False, "hostPID": False},
    _with_container(ports=[{"containerPort": 80, "hostPort": 0}]),
    {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]},
    _with_container(resources={"limits": {"cpu": "1"}}),
    _secured(seccompProfile={"type": "Localhost", "localhostProfile": "p"}),
    {"tolerations": [{"key": "spot", "operator": "Exists"}]},
]


@pytest.mark.parametrize("pod", HARMLESS)
def test_harmless_is_accepted(pod: JsonObject) -> None:
    """What the Restricted standard lets pass, passes."""
    check_workload(_workload(pod), NOTHING)


SECRET_ENV: JsonObject = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}
HOSTILE: list[tuple[JsonObject, str, JsonObject | None]] = [
    # pod, what the message names, and the grant that allows it (None: nothing does)
    ({"hostNetwork": True}, "hostNetwork", {"host_network": True}),
    ({"hostPID": True}, "hostPID", {"host_pid": True}),
    ({"hostIPC": True}, "hostIPC", {"host_ipc": True}),
    ({"nodeName": "n1"}, "n1", {"any_node": True}),
    ({"priorityClassName": "system-node-critical"}, "system-node-critical", {"any_node": True}),
    ({"tolerations": [{"operator": "Exists"}]}, "every taint", {"any_node": True}),
    ({"tolerations": [{"key": "node-role.kubernetes.io/control-plane"}]}, "control-plane", {"any_node": True}),
    ({"serviceAccountName": "admin"}, "service account admin", {"service_accounts": ["admin"]}),
    ({"serviceAccount": "admin"}, "service account admin", {"service_accounts": ["admin"]}),
    ({"automountServiceAccountToken": True}, "automountServiceAccountToken", {"service_accounts": ["default"]}),
    ({"securityContext": {"runAsUser": 0}}, "runAsUser: 0", {"root": True}),
    ({"securityContext": {"runAsNonRoot": False}}, "runAsNonRoot", {"root": True}),
    ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile", {"privileged": True}),
    (
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "kernel.msgmax",
        {"privileged": True},
    ),
    ({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "appArmor", {"privileged": True}),
    ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "hostProcess", {"privileged": True}),
    ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, "seLinuxOptions", {"privileged": True}),
    (_secured(privileged=True), "privileged", {"privileged": True}),
    (_secured(allowPrivilegeEscalation=True), "allowPrivilegeEscalation", {"privileged": True}),
    (_secured(procMount="Unmasked"), "procMount", {"privileged": True}),
    (_secured(capabilities={"drop": []}), "not dropped", {"privileged": True}),
    (_secured(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "SYS_ADMIN", {"capabilities": ["SYS_ADMIN"]}),
    (_secured(capabilities={"drop": ["ALL"], "add": ["CAP_NET_RAW"]}), "NET_RAW", {"capabilities": ["NET_RAW"]}),
    (_secured(runAsUser=0), "runAsUser: 0", {"root": True}),
    (_with_container(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort 80", {"host_network": True}),
    (_with_container(env=[SECRET_ENV]), "Secret theirs", {"secrets": ["theirs"]}),
    (_with_container(envFrom=[{"secretRef": {"name": "theirs"}}]), "Secret theirs", {"secrets": ["theirs"]}),
    (_with_container(env=[{"name": "LD_PRELOAD", "value": "/x"}]), "LD_PRELOAD", None),
    (_with_container(env=[{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]), "NVIDIA_VISIBLE_DEVICES", None),
    (
        {"initContainers": [{"name": "i", "image": "i", "securityContext": {"privileged": True}}]},
        "initContainers",
        None,
    ),
    ({"ephemeralContainers": [{"name": "e", "image": "e", "securityContext": {"runAsUser": 0}}]}, "ephemeral", None),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath '/'", {"host_paths": ["/"]}),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/data/a"}}]}, "/data/a", {"host_paths": ["/data"]}),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/data/../etc"}}]}, "etc", None),
    ({"volumes": [{"name": "v", "secret": {"secretName": "theirs"}}]}, "Secret theirs", {"secrets": ["theirs"]}),
    ({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "theirs"}}]}}]}, "Secret theirs", None),
    ({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}]}, "token", None),
    ({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}, "nfs", None),
    ({"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]}, "gitRepo", None),
]


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize(("pod", "message", "_grant"), HOSTILE)
def test_hostile_pod_is_refused(pod: JsonObject, message: str, _grant: object, kind: str) -> None:
    """In any kind of object, and the message names the field and what the operator can do."""
    with pytest.raises(Refused, match=r"agent\.toml") as caught:
        check_workload(_workload(pod, kind), NOTHING)
    assert message in str(caught.value)


@pytest.mark.parametrize(("pod", "message", "grant"), [one for one in HOSTILE if one[2]])
def test_operator_widens(pod: JsonObject, message: str, grant: JsonObject) -> None:
    """What the agent's own file grants is let through, as it stands there."""
    agent = AgentFile.model_validate({"allow": {"kubernetes": grant}})
    check_workload(_workload(pod), agent.allow.kubernetes)


@pytest.mark.parametrize(
    ("namespace", "grants", "is_refused"),
    [
        ("team", {}, False),
        ("kube-system", {}, True),
        ("team", {"namespaces": ["other"]}, True),
        ("kube-system", {"namespaces": ["kube-system"]}, False),
    ],
)
def test_namespace(namespace: str, grants: JsonObject, is_refused: bool) -> None:
    """Kubernetes' own namespaces have to be granted; a list of granted ones is complete."""
    made = _workload(namespace=namespace)
    if is_refused:
        with pytest.raises(Refused, match=namespace):
            check_workload(made, ClusterGrants.model_validate(grants))
    else:
        check_workload(made, ClusterGrants.model_validate(grants))


@pytest.mark.parametrize(
    "holder", ["container.apparmor.security.beta.kubernetes.io/main", "seccomp.security.alpha.kubernetes.io/pod"]
)
def test_unconfined_by_annotation(holder: str) -> None:
    """The old way to take a profile off is one, too."""
    made = _workload()
    cast("Any", made.object)["spec"]["template"]["metadata"]["annotations"][holder] = "unconfined"
    with pytest.raises(Refused, match="unconfined"):
        check_workload(made, NOTHING)


def test_part_of_a_pod_is_judged_too() -> None:
    """A kind that only names what differs from its runtime's pods cannot slip by."""
    overrides = [{"targetJobs": [{"name": "node"}], "spec": {"serviceAccountName": "admin", "hostPID": True}}]
    manifest: JsonObject = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "spec": cast("JsonObject", {"podTemplateOverrides": overrides}),
    }
    configuration = KubernetesConfiguration(manifest=manifest)
    with pytest.raises(Refused, match=r"hostPID.*admin"):
        check_workload(workload(render_kubernetes(ATTEMPT, configuration, KINDS), KINDS), NOTHING)


def test_all_refusals_in_one_line() -> None:
    """One message names everything, each with its place."""
    with pytest.raises(Refused) as caught:
        check_workload(_workload({"hostPID": True, **_secured(privileged=True)}), NOTHING)
    assert "spec.template.spec: hostPID; spec.template.spec: privileged (containers[0])" in str(caught.value)


def test_a_pod_says_nothing_hostile_though_its_containers_say_otherwise() -> None:
    """The Restricted standard judges both; and a container may come that says nothing."""
    own: JsonObject = {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}}
    pod: JsonObject = {"securityContext": {"seccompProfile": {"type": "Unconfined"}}, **_secured(**own)}
    with pytest.raises(Refused, match="seccompProfile"):
        check_workload(_workload(pod), NOTHING)


FIELDS = st.sampled_from([one[0] for one in HOSTILE] + HARMLESS)


@settings(max_examples=150, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=4))
def test_what_passes_is_restricted(parts: list[JsonObject]) -> None:
    """Whatever a template combines: what is let through passes a checker of the Restricted standard of its own."""
    pod: JsonObject = {}
    for one in parts:
        pod |= one
    made = _workload(pod)
    try:
        check_workload(made, NOTHING)
    except LaunchError:
        return
    assert _breaches(cast("Any", made.object)["spec"]["template"]["spec"]) == []


def _breaches(pod: Any) -> list[str]:
    """The Restricted standard, written down a second time, in the simplest way."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    text = json.dumps(pod)
    found += [sign for sign in ('"hostPath"', '"privileged": true', '"runAsUser": 0', "Unconfined") if sign in text]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = {**pod["securityContext"], **container["securityContext"]}
        if not (context["runAsNonRoot"] and context["seccompProfile"] and context["allowPrivilegeEscalation"] is False):
            found.append("context")
        if "ALL" not in context["capabilities"]["drop"] or context["capabilities"].get("add"):
            found.append("capabilities")
    return found
