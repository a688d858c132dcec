"""The agent's Helm chart: the plain manifests are its rendering, and every value renders to objects."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.layout import find_layout
from cluster.programs import tools
from infrastructure.plugin import missing

CHARTS = Path(__file__).parents[2] / "charts"
REQUIRED = {"queues": ["gpu"], "targetNamespaces": ["a", "b"]}
FULL: dict[str, Any] = {
    **REQUIRED,
    "maxJobs": 4,
    "kinds": [{"group": "jobset.x-k8s.io", "resource": "jobsets"}],
    "image": {"repository": "r/agent", "tag": "1", "pullSecrets": ["pull"]},
    "prefect": {"apiUrl": "http://p/api", "existingSecret": "prefect"},
    "store": {"url": "s3://b", "existingSecret": "store"},
    "agentToml": 'kinds = "/etc/launch/kinds"\n',
    "caConfigMap": "ca",
    "gitCredentialsSecret": "git",
    "kindFiles": {"mpi.yaml": "api_version: kubeflow.org/v1\n"},
    "env": {"LAUNCH_JOBS_GIT_REMOTES": "https://*"},
    "envFrom": [{"configMapRef": {"name": "more"}}],
    "replicas": 3,
    "networkPolicy": {"prometheusNamespaceLabels": {"team": "monitoring"}},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "x"}],
    "podAnnotations": {"a": "b"},
    "serviceAccount": {"annotations": {"c": "d"}},
}


@pytest.fixture(scope="session")
def helm() -> str:
    """The program, as the test cluster's build made it, or this machine's own."""
    built = tools(find_layout()) / "helm"
    return str(built) if built.exists() else shutil.which("helm") or missing("helm: `make cluster` builds it")


def _render(helm: str, *arguments: str, values: Any = None) -> subprocess.CompletedProcess[str]:
    command = [helm, "template", "launch-agent", str(CHARTS / "launch-agent"), "--namespace=launch", *arguments]
    given = json.dumps(values or {})
    return subprocess.run([*command, "-f", "-"], input=given, capture_output=True, text=True, check=False)


def _objects(helm: str, values: Any) -> dict[str, Any]:
    done = _render(helm, values=values)
    assert done.returncode == 0, done.stderr
    documents = [one for one in yaml.safe_load_all(done.stdout) if one]
    return {f"{one['kind']}/{one['metadata'].get('namespace', '')}": one for one in documents}


def test_plain_manifests_are_the_charts_rendering(helm: str) -> None:
    """`helm template … -f charts/plain/values.yaml > charts/plain/launch-agent.yaml` was not forgotten."""
    done = _render(helm, f"--values={CHARTS / 'plain' / 'values.yaml'}")
    assert (CHARTS / "plain" / "launch-agent.yaml").read_text() == done.stdout


def test_every_value_shows(helm: str) -> None:
    """All values together render, and each is in the objects where it belongs."""
    objects = _objects(helm, FULL)
    pod = objects["Deployment/launch"]["spec"]["template"]["spec"]
    (agent,) = pod["containers"]
    assert agent["args"] == ["--queue=gpu", "--max-jobs=4", "--health-port=9464", "--log-json"]
    env = {one["name"]: one["value"] for one in agent["env"]}
    assert env["SSL_CERT_FILE"] == env["GIT_SSL_CAINFO"] == "/etc/launch/ca/ca.crt"
    assert env["GIT_CONFIG_VALUE_0"].startswith("store --file=")
    assert env["LAUNCH_JOBS_GIT_REMOTES"] == "https://*"
    assert [next(iter(one.values()))["name"] for one in agent["envFrom"]] == ["prefect", "store", "more"]
    assert {one["name"] for one in pod["volumes"]} == {"home", "tmp", "file", "git", "ca", "kinds"}
    assert "podAntiAffinity" in pod["affinity"]
    assert pod["nodeSelector"] == {"pool": "system"}
    assert objects["Secret/launch"]["stringData"]["agent.toml"] == FULL["agentToml"]
    assert "from" in objects["NetworkPolicy/launch"]["spec"]["ingress"][0]


def test_rights_end_at_the_target_namespaces(helm: str) -> None:
    """A Role in each of them, one word of the whole cluster, and none of it can read a Secret or reach further."""
    objects = _objects(helm, FULL)
    assert objects["Role/a"]["rules"] == objects["Role/b"]["rules"]
    (cluster_rule,) = objects["ClusterRole/"]["rules"]
    assert (cluster_rule["resourceNames"], cluster_rule["verbs"]) == (["kube-system"], ["get"])
    for rule in objects["Role/a"]["rules"]:
        assert not {"*", "patch", "deletecollection", "escalate", "bind", "impersonate"} & {*rule["verbs"]}
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["create"]
        if "update" in rule["verbs"]:
            assert (rule["resources"], rule["verbs"]) == (["leases"], ["get", "create", "update"])


def test_certificates_in_a_secret(helm: str) -> None:
    """Are mounted without the private key that may lie beside them."""
    objects = _objects(helm, {**REQUIRED, "caSecret": "tls"})
    pod = objects["Deployment/launch"]["spec"]["template"]["spec"]
    volume = {"name": "ca", "secret": {"secretName": "tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    assert volume in pod["volumes"]
    assert {"name": "SSL_CERT_FILE", "value": "/etc/launch/ca/ca.crt"} in pod["containers"][0]["env"]


def test_two_replicas_on_two_nodes_by_default(helm: str) -> None:
    """One of them may be drained at a time."""
    objects = _objects(helm, REQUIRED)
    deployment = objects["Deployment/launch"]["spec"]
    assert deployment["replicas"] == 2
    assert "podAntiAffinity" in deployment["template"]["spec"]["affinity"]
    assert objects["PodDisruptionBudget/launch"]["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("name", REQUIRED)
def test_required_value_is_named(helm: str, name: str) -> None:
    """Without queues or target namespaces there is no agent; the message says which value is missing."""
    done = _render(helm, values={key: value for key, value in REQUIRED.items() if key != name})
    assert done.returncode != 0
    assert f"{name}: name the" in done.stderr
