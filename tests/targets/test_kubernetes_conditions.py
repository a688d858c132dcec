"""How an attempt stands: a table of objects, pods and events as a cluster tells them, with one status and reason each.

Rows that begin with C8 are those of the feature list's table; "wrong there" marks what W&B's runner makes of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.causes import Cause
from launch_jobs.targets.kubernetes.conditions import Reading, Seen, read_status, standing
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.releasing import as_ended

KINDS = load_kinds()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
START, END = "2026-11-23T11:00:00Z", "2026-11-23T11:30:00Z"


def _object(version: str, kind: str, spec: Any = None, **status: Any) -> JsonObject:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "lj"}, "spec": spec or {}, "status": status}


def _job(*conditions: str, spec: Any = None, reason: str = "", message: str = "", **status: Any) -> JsonObject:
    true = [{"type": one, "status": "True", "reason": reason, "message": message} for one in conditions]
    return _object("batch/v1", "Job", {"backoffLimit": 0, **(spec or {})}, conditions=true, **status)


def _pod(*states: Any, phase: str = "Running", name: str = "lj-x", deleted: str = "", **status: Any) -> JsonObject:
    names = ["main", "second"]
    containers = [{"name": names[n], "image": "i:1", "state": one} for n, one in enumerate(states)]
    metadata: dict[str, Any] = {"name": name, "annotations": {"launch-jobs.org/containers": "main,second"}}
    if deleted:
        metadata |= {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": 10}
    status |= {"phase": phase, "containerStatuses": containers}
    return {"metadata": metadata, "spec": {"nodeName": "launch-b"}, "status": status}


def _ended(code: int, reason: str = "Error", message: str = "", at: str = END) -> Any:
    ended = {"exitCode": code, "reason": reason, "message": message, "startedAt": START, "finishedAt": at}
    return {"terminated": ended}


def _waits(reason: str, message: str = "") -> Any:
    return {"waiting": {"reason": reason, "message": message}}


def _failed(code: int, reason: str = "Error", **more: Any) -> JsonObject:
    return _pod(_ended(code, reason, more.pop("message", "")), phase="Failed", **more)


def _pending(*states: Any, **more: Any) -> JsonObject:
    return _pod(*states, phase="Pending", **more)


def _unscheduled(message: str, reason: str = "Unschedulable") -> JsonObject:
    told = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return _pending(conditions=[told])


def _disrupted(reason: str, message: str = "m", code: int = 143) -> JsonObject:
    told = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    return _failed(code, conditions=[told])


def _event(reason: str, message: str, about: str = "lj", at: str = END) -> JsonObject:
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"name": about},
        "lastTimestamp": at,
    }


RUNS: Any = {"running": {"startedAt": START}}
FAILED = _job("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
NO_GPU = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available: 2 No victims."
BACK_OFF = 'Back-off pulling image "i:1": ErrImagePull: rpc error: code = NotFound desc = i:1: not found'
JOBSET, PYTORCH = ("jobset.x-k8s.io/v1alpha2", "JobSet"), ("kubeflow.org/v1", "PyTorchJob")
RAY, VOLCANO = ("ray.io/v1", "RayJob"), ("batch.volcano.sh/v1alpha1", "Job")
TRAIN, OTHER = ("trainer.kubeflow.org/v1alpha1", "TrainJob"), ("example.org/v1", "Sweep")


def _said(kind: tuple[str, str], condition: str, value: Any = "True") -> Seen:
    return Seen(_object(*kind, conditions=[{"type": condition, "status": value}]))


ROWS: dict[str, tuple[Seen, str, int | None, Cause, str]] = {
    # name: what is seen; state, exit code, cause, and what the reason holds
    "nothing yet": (Seen(_job()), "created", None, Cause.NONE, ""),
    "C8.11 pending without status": (Seen(_job(), (_pending(),)), "created", None, Cause.NONE, ""),
    "C8.11 ContainerCreating": (
        Seen(_job(), (_pending(_waits("ContainerCreating")),)),
        "created",
        None,
        Cause.NONE,
        "",
    ),
    "C8.11 PodInitializing": (Seen(_job(), (_pending(_waits("PodInitializing")),)), "created", None, Cause.NONE, ""),
    "C8.11 running": (Seen(_job(), (_pod(RUNS),)), "running", None, Cause.NONE, ""),
    "C8.12 succeeded": (Seen(_job("Complete"), (_pod(_ended(0), phase="Succeeded"),)), "exited", 0, Cause.NONE, ""),
    "C8.12 failed": (Seen(FAILED, (_failed(3),)), "exited", 3, Cause.USER, "code 3"),
    "C8.13 preempted by the scheduler": (
        *(Seen(FAILED, (_disrupted("PreemptionByScheduler", "preempting to accommodate a higher priority pod"),)),),
        *("exited", None, Cause.PREEMPTED, "higher priority"),
    ),
    "C8.13 evicted through the API": (
        *(Seen(FAILED, (_disrupted("EvictionByEvictionAPI"),)), "exited", None, Cause.PREEMPTED, "drain"),
    ),
    "C8.13 evicted by the kubelet": (
        *(
            Seen(FAILED, (_disrupted("TerminationByKubelet", "low on memory"),)),
            "exited",
            None,
            Cause.EVICTED,
            "low on",
        ),
    ),
    "C8.26 tainted node, ignored there": (
        *(Seen(FAILED, (_disrupted("DeletionByTaintManager"),)), "exited", None, Cause.NODE_LOST, "tainted"),
    ),
    "pod garbage collected": (
        *(Seen(FAILED, (_disrupted("DeletionByPodGC"),)), "exited", None, Cause.NODE_LOST, "node is gone"),
    ),
    "C8.26 preempted then failed, wrong there": (
        *(Seen(FAILED, (_disrupted("PreemptionByScheduler", code=1),)), "exited", None, Cause.PREEMPTED, "priority"),
    ),
    "disruption told by the Job alone": (
        Seen(_job("Failed", reason="PodFailurePolicy", message="Pod a/b has condition DisruptionTarget matching")),
        *("exited", None, Cause.PREEMPTED, "taken away"),
    ),
    "C8.26 failed 1 with retries left, wrong there": (
        *(Seen(_job(spec={"backoffLimit": 3}, failed=1), (_failed(3),)), "running", None, Cause.NONE, "retries (3)"),
    ),
    "C8.26 succeeded 1 of 4, wrong there": (
        Seen(_job(spec={"completions": 4}, succeeded=1), (_pod(_ended(0), phase="Succeeded"),)),
        *("running", None, Cause.NONE, ""),
    ),
    "C8.26 succeeded 2, wrong there": (Seen(_job("Complete", succeeded=2)), "exited", 0, Cause.NONE, ""),
    "failed, but pods still end": (Seen(_job("FailureTarget"), (_pod(RUNS),)), "running", None, Cause.NONE, ""),
    "C8.26 ImagePullBackOff, wrong there": (
        Seen(_job(), (_pending(_waits("ImagePullBackOff", BACK_OFF)),)),
        *("created", None, Cause.IMAGE, "i:1 cannot be pulled: i:1: not found"),
    ),
    "InvalidImageName": (
        *(Seen(_job(), (_pending(_waits("InvalidImageName", "bad")),)), "created", None, Cause.IMAGE, "bad"),
    ),
    "image of an init container": (
        Seen(_job(), (_pending(initContainerStatuses=[{"name": "i", "image": "j", "state": _waits("ErrImagePull")}]),)),
        *("created", None, Cause.IMAGE, "j cannot"),
    ),
    "no such secret": (
        Seen(_job(), (_pending(_waits("CreateContainerConfigError", 'secret "s" not found')),)),
        *("created", None, Cause.CONFIGURATION, 'secret "s" not found'),
    ),
    "cannot mount": (
        Seen(_job(), (_pending(_waits("ContainerCreating")),), (_event("FailedMount", "no configmap", "lj-x"),)),
        *("created", None, Cause.CONFIGURATION, "no configmap"),
    ),
    "mounted at last": (
        *(Seen(_job(), (_pod(RUNS),), (_event("FailedMount", "x", "lj-x"),)), "running", None, Cause.NONE, ""),
    ),
    "C8.16 unschedulable": (
        Seen(_job(), (_unscheduled("Test message"),)),
        *("created", None, Cause.UNSCHEDULABLE, "Unschedulable: Test message"),
    ),
    "C8.16 of another kind": (
        *(Seen(_object(*OTHER), (_unscheduled("Test message"),)), "created", None, Cause.UNSCHEDULABLE, "Test message"),
    ),
    "unschedulable, what is missing": (
        Seen(_job(), (_unscheduled(NO_GPU),)),
        *(
            "created",
            None,
            Cause.UNSCHEDULABLE,
            "Unschedulable: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu",
        ),
    ),
    "C8.26 three equal events, wrong there": (
        Seen(_job(), (_unscheduled("m"),), tuple(_event("FailedScheduling", "m", "lj-x") for _ in range(3))),
        *("created", None, Cause.UNSCHEDULABLE, "Unschedulable: m"),
    ),
    "C8.26 condition while it runs, wrong there": (
        Seen(_job(), (_pod(RUNS, conditions=[{"type": "PodScheduled", "status": "True"}]),)),
        *("running", None, Cause.NONE, ""),
    ),
    "one of two pods waits": (
        Seen(_job(), (_pod(RUNS), _unscheduled("m"))),
        "running",
        None,
        Cause.UNSCHEDULABLE,
        "Unschedulable: m",
    ),
    "both wait": (
        Seen(_job(), (_unscheduled("m"), _unscheduled("m"))),
        "created",
        None,
        Cause.UNSCHEDULABLE,
        "2 of 2 pods",
    ),
    "scheduling gate": (
        Seen(_job(), (_unscheduled("m", "SchedulingGated"),)),
        "created",
        None,
        Cause.SUSPENDED,
        "gate",
    ),
    "quota": (
        Seen(_job(), (), (_event("FailedCreate", 'pods "lj-y" is forbidden: exceeded quota: q, requested: cpu=1'),)),
        *("created", None, Cause.QUOTA, "exceeded quota: q"),
    ),
    "admission": (
        Seen(
            _job(), (), (_event("FailedCreate", 'pods "lj-y" is forbidden: violates PodSecurity "restricted:latest"'),)
        ),
        *("created", None, Cause.ADMISSION, "violates PodSecurity"),
    ),
    "Kueue": (
        Seen(
            {**_job("Suspended", spec={"suspend": True}), "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}
        ),
        *("created", None, Cause.SUSPENDED, "Waits for quota in Kueue's queue team"),
    ),
    "suspended by hand": (Seen(_job("Suspended", spec={"suspend": True})), "created", None, Cause.SUSPENDED, "resume"),
    "out of memory": (Seen(FAILED, (_failed(137, "OOMKilled"),)), "exited", 137, Cause.OUT_OF_MEMORY, "OOMKilled"),
    "no such program": (
        Seen(FAILED, (_failed(128, "StartError", message='exec: "x": executable file not found in $PATH'),)),
        *("exited", 127, Cause.USER, "not found"),
    ),
    "program is not executable": (
        *(
            Seen(FAILED, (_failed(128, "StartError", message="permission denied"),)),
            "exited",
            126,
            Cause.USER,
            "denied",
        ),
    ),
    "init container failed": (
        Seen(FAILED, (_pod(phase="Failed", initContainerStatuses=[{"name": "i", "state": _ended(9)}]),)),
        *("exited", 9, Cause.USER, "container i"),
    ),
    "deadline": (
        Seen(_job("Failed", reason="DeadlineExceeded"), (_failed(137),)),
        "exited",
        137,
        Cause.DEADLINE,
        "deadline",
    ),
    "deadline that a Job says before its pods have ended": (
        Seen(
            _object(
                *("batch/v1", "Job"),
                conditions=[
                    {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"},
                    {"type": "Failed", "status": "True", "reason": "ProgramsEnded"},
                ],
            ),
            (_failed(143, deleted=END),),
        ),
        *("exited", 143, Cause.DEADLINE, "activeDeadlineSeconds"),
    ),
    "suspended while it ran": (
        Seen(_job("Failed", spec={"suspend": True}), (_failed(143, deleted=END),)),
        *("exited", None, Cause.PREEMPTED, "suspended while it ran"),
    ),
    "suspended after its own end": (
        *(Seen(_job("Failed", spec={"suspend": True}), (_failed(3),)), "exited", 3, Cause.USER, "code 3"),
    ),
    "evicted by its node": (
        Seen(FAILED, (_pod(phase="Failed", reason="Evicted", message="The node was low on disk"),)),
        *("exited", None, Cause.EVICTED, "low on disk"),
    ),
    "node refuses": (
        Seen(FAILED, (_pod(phase="Failed", reason="OutOfcpu", message="Pod was rejected"),)),
        *("exited", None, Cause.INFRASTRUCTURE, "rejected"),
    ),
    "pod deleted by hand": (
        *(Seen(FAILED, (_failed(143, deleted=END),)), "exited", None, Cause.DELETED, "lj-x was deleted"),
    ),
    "pod deleted after its end": (
        *(Seen(FAILED, (_failed(3, deleted="2026-11-23T11:40:00Z"),)), "exited", 3, Cause.USER, "code 3"),
    ),
    "failed without pods": (Seen(FAILED), "exited", None, Cause.DELETED, "pods are gone"),
    "first failure counts": (
        Seen(FAILED, (_failed(143, name="b"), _pod(_ended(5, at="2026-11-23T11:29:00Z"), phase="Failed", name="a"))),
        *("exited", 5, Cause.USER, "code 5"),
    ),
    "object deleted while it runs": (Seen(None, (_pod(RUNS),)), "running", None, Cause.DELETED, "was deleted"),
    "C8.12 object deleted, pod ends": (
        *(Seen(None, (_failed(143, deleted=END),)), "exited", None, Cause.DELETED, "was deleted"),
    ),
    "object deleted after the end": (Seen(None, (_failed(3),)), "exited", 3, Cause.USER, ""),
    "node does not answer": (
        *(Seen(_job(), (_pod(RUNS, deleted=END),)), "running", None, Cause.NODE_LOST, "launch-b does not answer"),
    ),
    "C8.14 running": (_said(PYTORCH, "Running"), "created", None, Cause.NONE, ""),
    "C8.14 succeeded": (
        Seen(
            _object(
                *PYTORCH, conditions=[{"type": "Running", "status": "False"}, {"type": "Succeeded", "status": "True"}]
            )
        ),
        *("exited", 0, Cause.NONE, ""),
    ),
    "C8.14 boolean is no status": (_said(PYTORCH, "Succeeded", True), "created", None, Cause.NONE, ""),
    "pytorch failed": (*(Seen(_said(PYTORCH, "Failed").object, (_failed(2),)), "exited", 2, Cause.USER, "code 2"),),
    "C8.15 replicated jobs without status": (
        *(Seen(_object(*JOBSET, replicatedJobsStatus=[{}])), "created", None, Cause.NONE, ""),
    ),
    "C8.15 active": (*(Seen(_object(*JOBSET, replicatedJobsStatus=[{"active": 1}])), "created", None, Cause.NONE, ""),),
    "jobset completed": (_said(JOBSET, "Completed"), "exited", 0, Cause.NONE, ""),
    "jobset completed by its state": (Seen(_object(*JOBSET, terminalState="Completed")), "exited", 0, Cause.NONE, ""),
    "jobset failed": (Seen(_said(JOBSET, "Failed").object, (_failed(7),)), "exited", 7, Cause.USER, "code 7"),
    "trainjob complete": (_said(TRAIN, "Complete"), "exited", 0, Cause.NONE, ""),
    "ray running": (Seen(_object(*RAY, jobDeploymentStatus="Running")), "running", None, Cause.NONE, ""),
    "ray complete": (Seen(_object(*RAY, jobDeploymentStatus="Complete")), "exited", 0, Cause.NONE, ""),
    "ray program failed": (
        Seen(_object(*RAY, jobDeploymentStatus="Failed", jobStatus="FAILED", reason="AppFailed", message="it broke")),
        *("exited", 1, Cause.USER, "AppFailed: it broke"),
    ),
    "ray complete with a failed program": (
        *(Seen(_object(*RAY, jobDeploymentStatus="Complete", jobStatus="FAILED")), "exited", 1, Cause.USER, "RayJob"),
    ),
    "volcano running": (
        Seen(_object(*VOLCANO, state={"phase": "Running"}), (_pod(RUNS),)),
        "running",
        None,
        Cause.NONE,
        "",
    ),
    "volcano completed": (Seen(_object(*VOLCANO, state={"phase": "Completed"})), "exited", 0, Cause.NONE, ""),
    "volcano failed": (
        *(Seen(_object(*VOLCANO, state={"phase": "Failed"}), (_failed(3),)), "exited", 3, Cause.USER, "code 3"),
    ),
    "other kind by phase": (Seen(_object(*OTHER, phase="Succeeded")), "exited", 0, Cause.NONE, ""),
    "other kind by condition": (Seen(_said(OTHER, "Failed").object, (_failed(4),)), "exited", 4, Cause.USER, "code 4"),
}


def _read(seen: Seen) -> Reading | None:
    made = seen.object or {"apiVersion": "batch/v1", "kind": "Job"}
    return read_status(KINDS.of(made), seen, NOW)


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    """One status, one cause, one line that holds what people have to know."""
    seen, state, code, cause, holds = ROWS[name]
    reading = _read(seen)
    assert reading is not None
    assert (reading.status.state, reading.status.exit_code, reading.cause) == (state, code, cause)
    assert holds in reading.reason if holds else not reading.reason
    assert "\n" not in reading.reason
    assert reading.status.out_of_memory is (cause is Cause.OUT_OF_MEMORY)


def test_nothing_is_there() -> None:
    """Neither object nor pod: there is no attempt."""
    assert _read(Seen(None)) is None


def test_times_are_the_programs_own() -> None:
    """Start and end are those of its containers; a container that could not be started has no start."""
    reading = _read(Seen(FAILED, (_failed(3),)))
    assert reading is not None
    assert (reading.status.started, reading.status.ended) == (START, END)
    never: Any = _failed(128, "StartError")
    never["status"]["containerStatuses"][0]["state"]["terminated"]["startedAt"] = "1970-01-01T00:00:00Z"
    reading = _read(Seen(FAILED, (never,)))
    assert reading is not None
    assert reading.status.started is None


def test_side_containers_do_not_count() -> None:
    """A keeper that runs on, or that failed, is not the program."""
    pod: Any = _pod(_ended(0))
    pod["status"]["containerStatuses"].append({"name": "launch-keeper", "state": _ended(1)})
    reading = _read(Seen(FAILED, (pod,)))
    assert reading is not None
    assert reading.status.exit_code is None
    assert reading.cause is Cause.INFRASTRUCTURE


DONE, BROKEN, BUSY = _pod(phase="Succeeded"), _pod(phase="Failed"), _pod(phase="Running")
INDEXED = _job(spec={"completions": 2, "parallelism": 2, "template": {"spec": {}}})
GROUPS: dict[str, Any] = {
    "replicatedJobs": [{"replicas": 2, "template": {"spec": {"parallelism": 1, "template": {"spec": {}}}}}]
}
REPLICAS: dict[str, Any] = {
    "pytorchReplicaSpecs": {"Master": {"template": {}}, "Worker": {"replicas": 2, "template": {}}}
}
RELEASED: list[tuple[JsonObject, list[JsonObject], str]] = [
    # object, its pods without their keepers, what it stands at
    (_job(spec={"template": {"spec": {}}}), [DONE], "succeeded"),
    (_job(), [BROKEN], "failed"),
    (_job(spec={"backoffLimit": 2}), [BROKEN], ""),
    (INDEXED, [DONE], ""),
    (INDEXED, [DONE, BUSY], ""),
    (INDEXED, [DONE, BROKEN], "failed"),
    (_object(*JOBSET, GROUPS), [DONE], ""),
    (_object(*JOBSET, GROUPS), [DONE, DONE], "succeeded"),
    (_object(*PYTORCH, REPLICAS), [DONE, DONE], ""),
    (_object(*PYTORCH, REPLICAS), [DONE, DONE, DONE], "succeeded"),
    (_object(*VOLCANO, {"tasks": [{"replicas": 2, "template": {}}]}), [DONE, DONE], "succeeded"),
    (_object(*RAY, {"rayClusterSpec": {"headGroupSpec": {"template": {}}}}), [DONE], ""),
    (_object(*OTHER, {"template": {"spec": {"containers": []}}}), [DONE, BUSY], ""),
    (_object(*OTHER, {"template": {"spec": {"containers": []}}}), [DONE], "succeeded"),
    (_job(), [], ""),
]


@pytest.mark.parametrize(("made", "pods", "state"), RELEASED)
def test_end_when_pods_wait_for_us_only(made: JsonObject, pods: list[JsonObject], state: str) -> None:
    """What an operator will say once its pods are let go: only when all of them are over, or one failed for good."""
    kind = KINDS.of(made)
    rule = standing(kind, as_ended(kind, made, pods))
    assert (rule.state if rule else "") == state


ANY_SEEN = st.sampled_from([row[0] for row in ROWS.values()])


@settings(max_examples=200, deadline=None)
@given(ANY_SEEN, ANY_SEEN, ANY_SEEN)
def test_any_mixture_is_read(first: Seen, second: Seen, third: Seen) -> None:
    """Whatever comes together, it is read; what runs is never over unless its object says so."""
    reading = _read(Seen(first.object, second.pods, third.events))
    if first.object is None or reading is None or not second.pods:
        return
    told = _read(Seen(first.object))
    assert told is not None
    assert (reading.status.state == "exited") == (told.status.state == "exited")
