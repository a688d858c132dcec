"""From an attempt and its queue's manifest to what a Kubernetes API server gets: golden files of each kind, laws."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretBytes

from launch_jobs.config_files.rendering import ChangedFile
from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.manifest import PodParts, Workload, owned, read_manifest, workload
from launch_jobs.targets.render import Attempt, render_kubernetes
from launch_jobs.targets.secret_files import GivenSecret
from launch_jobs.targets.template import base_job_template, check_template, render_configuration, with_operator_fields

GOLDEN = Path(__file__).parent / "golden" / "kubernetes"
KINDS = load_kinds()
ATTEMPT = Attempt(
    run_id="0199d3a1-7c5e-7bb2-9d1e-0123456789ab",
    number=2,
    job="digits@sha256:" + "ab" * 32,
    queue="gpu",
    image="registry.example/digits:1",
    command=("python", "train.py", "--name", "it's"),
    directory="/work/src",
    root="/work",
    env={"SEED": "7"},
    parameters={"lr": 0.1},
)
FULL: JsonObject = {
    "cpus": 1.5,
    "memory": "2Gi",
    "shm_size": "512Mi",
    "gpus": 2,
    "gpu_type": "NVIDIA-L4",
    "secrets": ["wandb=WANDB_API_KEY"],
    "namespace": "team",
    "service_account": "trainer",
    "image_pull_secrets": ["pull"],
    "node_selector": {"disk": "fast"},
    "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
    "volumes": [{"path": "/data", "claim": "corpus"}, {"path": "/tls", "secret": "tls"}],
    "secret_env": {"DB_PASSWORD": "db/password"},
    "priority_class": "batch-low",
    "kueue_queue": "team-gpus",
    "labels": {"cost-center": "42"},
    "ttl_seconds": 3600,
    "active_deadline": 600,
    "stop_grace_seconds": 30,
}
NAMES = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
MANIFESTS: dict[str, JsonObject] = {
    "indexed": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"completions": 2, "parallelism": 2, "completionMode": "Indexed"},
    },
    "jobset": {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "spec": {"replicatedJobs": [{"name": "w", "template": {"spec": {"parallelism": 2, "completions": 2}}}]},
    },
    "pytorchjob": {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1}, "Worker": {"replicas": 3}}},
    },
    "trainjob": {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 2}},
    },
    "rayjob": {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "spec": {"rayClusterSpec": {"workerGroupSpecs": [{"groupName": "gpu", "replicas": 2}]}},
    },
    "volcano": {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "spec": {"minAvailable": 3, "tasks": [{"name": "ps", "replicas": 1}, {"name": "worker", "replicas": 2}]},
    },
    "other": {
        "apiVersion": "example.org/v1",
        "kind": "Sweep",
        "spec": {
            "groups": [{"template": {"spec": {"containers": [{"name": "x"}, {"name": "log", "image": "log:1"}]}}}]
        },
    },
}


def _spec(values: JsonObject | None = None, attempt: Attempt = ATTEMPT) -> RunSpec:
    return render_kubernetes(attempt, KubernetesConfiguration.model_validate(values or {}), KINDS)


def _made(values: JsonObject | None = None, attempt: Attempt = ATTEMPT, parts: PodParts | None = None) -> Workload:
    return workload(_spec(values, attempt), KINDS, parts)


def _pod(made: Workload) -> Any:  # a manifest, read as one
    return cast("Any", made.object)["spec"]["template"]["spec"]


def _check_golden(name: str, *objects: JsonObject) -> None:
    """Compare with a file of golden/kubernetes; LAUNCH_JOBS_UPDATE_GOLDEN=1 writes it."""
    text = yaml.safe_dump_all(json.loads(json.dumps(objects)), sort_keys=False, width=120)
    if os.environ.get("LAUNCH_JOBS_UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert (GOLDEN / name).read_text() == text


def test_plain_job() -> None:
    """A queue whose operator wrote nothing makes exactly this Job."""
    _check_golden("plain.yaml", _made().object)


def test_job_with_everything() -> None:
    """All that a queue can ask for gives exactly these objects."""
    made = _made(FULL)
    _check_golden("full.yaml", made.object, *made.side)


@pytest.mark.parametrize("name", MANIFESTS)
def test_kind(name: str) -> None:
    """Each kind of workload gets image, command, variables and limits exactly there."""
    made = _made({"manifest": MANIFESTS[name], "memory": "1Gi"})
    _check_golden(f"{name}.yaml", made.object, *made.side)


def test_base_job_template() -> None:
    """The queue type offers exactly these job variables; its own template renders to the defaults."""
    template = base_job_template(KubernetesConfiguration)
    check_template(template, KubernetesConfiguration)
    _check_golden("template.yaml", template)
    assert render_configuration(template, {}, KubernetesConfiguration) == KubernetesConfiguration()


def test_operators_own_variable_in_a_manifest() -> None:
    """An operator's own typed variable stands in the manifest as a whole value, and a missing one leaves no trace."""
    template = with_operator_fields(
        base_job_template(KubernetesConfiguration),
        KubernetesConfiguration,
        {"manifest": {**MANIFESTS["indexed"], "spec": {"completions": "{{ nodes }}", "priority": "{{ gpu_type }}"}}},
    )
    cast("Any", template)["variables"]["properties"]["nodes"] = {"type": "integer", "minimum": 1, "default": 1}
    rendered = render_configuration(template, {"nodes": 3}, KubernetesConfiguration)
    made = workload(render_kubernetes(ATTEMPT, rendered, KINDS), KINDS)
    assert cast("Any", made.object)["spec"]["completions"] == 3
    assert "priority" not in cast("Any", made.object)["spec"]
    with pytest.raises(BadInput, match="nodes"):
        render_configuration(template, {"nodes": "3; rm"}, KubernetesConfiguration)


@pytest.mark.parametrize("name", [*KubernetesConfiguration.operator_fields, "manifest"])
def test_operators_field_is_no_job_variable(name: str) -> None:
    """Where and as what a run runs, no submitter sets."""
    template = base_job_template(KubernetesConfiguration)
    with pytest.raises(BadInput, match="unknown job variable"):
        render_configuration(template, {name: "x"}, KubernetesConfiguration)
    cast("Any", template)["job_configuration"][name] = "{{ image }}"
    with pytest.raises(LaunchError):
        check_template(template, KubernetesConfiguration)


BAD_MANIFESTS: list[tuple[JsonObject, type[LaunchError], str]] = [
    ({"kind": "Job"}, BadInput, "no apiVersion"),
    ({"apiVersion": "batch/v1beta1", "kind": "Job"}, BadInput, "known as batch/v1"),
    ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "x"}]}}, BadInput, "no place for a program"),
    ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}, BadInput, "no place for a program"),
    ({"apiVersion": "v1", "kind": "List", "items": [MANIFESTS["indexed"]]}, BadInput, "no place for a program"),
    ({**MANIFESTS["indexed"], "metadata": {"namespace": "kube-system"}}, Refused, "namespace"),
    ({**MANIFESTS["indexed"], "metadata": {"finalizers": ["x"]}}, Refused, "finalizers"),
    ({**MANIFESTS["indexed"], "metadata": {"ownerReferences": [{"uid": "x"}]}}, Refused, "ownerReferences"),
    ({**MANIFESTS["indexed"], "metadata": {"labels": {"launch-jobs.org/name": "x"}}}, Refused, "launch-jobs.org/name"),
    ({**MANIFESTS["indexed"], "spec": {"template": []}}, BadInput, "template"),
    ({**MANIFESTS["indexed"], "spec": {"ttlSecondsAfterFinished": 0}}, BadInput, "ttlSecondsAfterFinished 0"),
    (
        {**MANIFESTS["indexed"], "spec": {"template": {"spec": {"containers": [{"name": "x", "image": "x"}]}}}},
        BadInput,
        "every container",
    ),
]


@pytest.mark.parametrize(("manifest", "error", "message"), BAD_MANIFESTS)
def test_bad_manifest(manifest: JsonObject, error: type[LaunchError], message: str) -> None:
    """One clear error each: what is wrong, and where."""
    with pytest.raises(error, match=message):
        _made({"manifest": manifest})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n---\nb: 2\n", "2 documents"),
        ("", "0 documents"),
        ("a: [1", "line 1, column"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("x: {{ name }}\n", "needs quotes"),
        ("- a\n", "no object"),
        ("a: !!python/object:os.system x\n", "no YAML"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{i}: &{i} [{', '.join(['*' + j] * 9)}]\n" for i, j in zip("bcdefgh", "abcdefg", strict=True)),
            "unfolds",
        ),
    ],
)
def test_bad_yaml(text: str, message: str) -> None:
    """Two documents, broken text, repeated keys, bombs: one line each, with the place."""
    with pytest.raises(BadInput, match=message) as caught:
        read_manifest(text, "queue.yaml")
    assert "queue.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_name_and_kubernetes_own_fields_are_ours() -> None:
    """A name, a generated name, a status in the manifest: the attempt's own name is what counts."""
    metadata: JsonObject = {"name": "mine", "generateName": "mine-"}
    made = _made({"manifest": {**MANIFESTS["indexed"], "metadata": metadata, "status": {"failed": 1}}})
    assert (made.name, made.namespace) == (ATTEMPT.name, "default")
    assert not {"generateName"} & cast("Any", made.object)["metadata"].keys()
    assert "status" not in made.object


def test_own_retries_of_kubernetes() -> None:
    """A template may ask for Kubernetes' own retries; a disruption is none of them, then."""
    made = _made({"manifest": {**MANIFESTS["indexed"], "spec": {"backoffLimit": 3}}})
    spec = cast("Any", made.object)["spec"]
    assert (spec["backoffLimit"], spec["podFailurePolicy"]["rules"][0]["action"]) == (3, "Ignore")


def test_own_container_keeps_what_is_its() -> None:
    """A container with an image of its own stays as it is; the job's keep their own variables, ours over them."""
    containers: list[Any] = [
        {"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "SEED", "value": "0"}], "args": ["x"]},
        {"name": "b"},
        {"name": "side", "image": "side:1", "command": ["side"]},
    ]
    pod: JsonObject = {"template": {"spec": {"containers": containers}}}
    first, second, third = _pod(_made({"manifest": {"apiVersion": "batch/v1", "kind": "Job", "spec": pod}}))[
        "containers"
    ]
    assert {one["name"]: one.get("value") for one in first["env"]}.items() >= {"A": "1", "SEED": "7"}.items()
    assert first["command"] == second["command"] == list(ATTEMPT.command)
    assert "args" not in first
    assert (third["image"], third["command"], third.get("env")) == ("side:1", ["side"], None)


def test_secrets_are_never_in_the_workload() -> None:
    """A secret's value is in the run's own Secret and nowhere else; the variable refers to it."""
    spec = _spec({"secrets": ["key=API_KEY"]})
    given_ = GivenSecret(name="key", variable="API_KEY", value=SecretBytes(b"hunter2"))
    made = workload(spec.model_copy(update={"secrets": (given_,)}), KINDS)
    assert cast("Any", made.side[0])["data"] == {"key": "aHVudGVyMg=="}
    assert "hunter2" not in json.dumps(made.object)
    assert "aHVudGVyMg" not in json.dumps(made.object)


def test_config_files_and_large_values_go_into_a_config_map() -> None:
    """What is too long for a pod's description is beside it, and a config file lies over the image's own."""
    attempt = replace(
        ATTEMPT, files=(ChangedFile(path="conf/a.yaml", before="x: 1", after="x: 2"),), env={"B": "b" * 20_000}
    )
    made = _made(attempt=attempt)
    assert cast("Any", made.side[0])["data"] == {"file-0": "x: 2", "B": "b" * 20_000}
    mounts = _pod(made)["containers"][0]["volumeMounts"]
    assert [(one["mountPath"], one["subPath"]) for one in mounts] == [("/work/conf/a.yaml", "file-0")]
    with pytest.raises(BadInput, match="source tree"):
        _made(attempt=replace(attempt, root=None, directory=None))


def test_side_object_is_owned_by_the_workload() -> None:
    """It goes when the workload goes."""
    made = _made({"secrets": ["key"]})
    owner: JsonObject = {**made.object, "metadata": {"name": made.name, "uid": "u-1"}}
    (reference,) = cast("Any", owned(made.side[0], owner))["metadata"]["ownerReferences"]
    assert reference == {"apiVersion": "batch/v1", "kind": "Job", "name": made.name, "uid": "u-1"}


def test_parts_of_the_target() -> None:
    """What the target adds is in each pod of the program, restricted as all."""
    parts = PodParts(
        containers=({"name": "keeper", "image": "k"},),
        volumes=({"name": "v", "emptyDir": {}},),
        mounts=({"name": "v", "mountPath": "/v"},),
        wrapper=("wrap",),
        settings={"shareProcessNamespace": True},
    )
    pod = _pod(_made(parts=parts))
    assert pod["containers"][0]["command"][:2] == ["wrap", "python"]
    assert pod["containers"][1]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["shareProcessNamespace"] is True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"manifest": MANIFESTS["volcano"], "kueue_queue": "q"}, "kueue_queue"),
        ({"manifest": MANIFESTS["volcano"], "active_deadline": 60}, "active_deadline"),
        ({"manifest": MANIFESTS["trainjob"], "shm_size": "1Gi"}, "shm_size"),
        ({"manifest": MANIFESTS["trainjob"], "secrets": ["key"]}, "secrets"),
    ],
)
def test_kind_without_the_field(values: JsonObject, message: str) -> None:
    """What a kind has no place for is an error, and never left out in silence."""
    with pytest.raises(BadInput, match=message):
        _made(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("memory", one) for one in ("1g", "-1", "1GB", "", "0", "1 Gi", "5Mi")),
        *(("cpus", one) for one in (-1, 0, 1e9, "0.1m", "nan")),
        *(("gpus", one) for one in (-1, 1.5, "all", 10**9)),
        *(("namespace", one) for one in ("Team", "a/b", "-a", "a" * 64, "a.b")),
        *(("labels", one) for one in ({"launch-jobs.org/x": "y"}, {"a b": "c"}, {"a": "-"}, {"": "x"})),
        ("ttl_seconds", 0),
        ("run_as_user", 0),
        ("volumes", [{"path": "/x"}]),
        ("volumes", [{"path": "x", "claim": "c"}]),
        ("gpu_type", "a b"),
    ],
)
def test_bad_value(name: str, value: Any) -> None:
    """Sizes, counts, names and labels that Kubernetes would not take are refused before it is asked."""
    template = base_job_template(KubernetesConfiguration)
    cast("Any", template)["job_configuration"][name] = value
    cast("Any", template)["variables"]["properties"].pop(name, None)
    with pytest.raises(BadInput, match=name):
        render_configuration(template, {}, KubernetesConfiguration)


@settings(max_examples=60, deadline=None)
@given(st.text(NAMES, max_size=120), st.text(NAMES, max_size=40))
def test_any_name_becomes_valid_labels(job: str, queue: str) -> None:
    """Whatever jobs and queues are called, labels are valid, and annotations have the very name."""
    metadata = cast("Any", _made(attempt=replace(ATTEMPT, job=job, queue=queue)).object)["metadata"]
    for value in metadata["labels"].values():
        assert len(value) <= 63
        assert not value or (value[0].isalnum() and value[-1].isalnum() and value.isascii())
    assert metadata["annotations"]["launch-jobs.org/job"] == job
