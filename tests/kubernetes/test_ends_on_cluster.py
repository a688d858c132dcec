"""Every way in which a run on a cluster ends or waits, made for real: its state and reason say what it was.

All are played at once, by the first test that asks.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from attempts import Ended, Meddle, Play, Stage, access_to
from infrastructure.cluster import Cluster
from pydantic import JsonValue

from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.preparation import NotStartedInTime, RunCancelled
from launch_jobs.run import Reason, RunState
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.target import KubernetesTarget

_NODE = "launch-b"
_POD: JsonObject = {"containers": [{"name": "main"}]}


def _job(pod: JsonObject, **spec: JsonValue) -> JsonObject:
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}, **spec}}


_HEAD: JsonObject = {"headGroupSpec": {"template": {"spec": _POD}}}
_RAY: JsonObject = {"apiVersion": "ray.io/v1", "kind": "RayJob", "spec": {"rayClusterSpec": _HEAD}}
_UNKNOWN: JsonObject = {"apiVersion": "example.org/v1", "kind": "Sweep", "spec": {"template": {"spec": _POD}}}


@dataclass(frozen=True)
class Place:
    """The namespaces in which all is played, and a resource that one node has one of.

    Attributes:
        free: takes everything.
        full: its quota has no pods left.
        counted: its quota has no Jobs left.
        strict: takes restricted pods only.
        closed: a policy refuses Jobs there.
        slot: the resource.
    """

    cluster: Cluster
    free: str
    full: str
    counted: str
    strict: str
    closed: str
    slot: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints about the free namespace."""
        return self.cluster.kubectl(f"--namespace={self.free}", *arguments, stdin=stdin)

    def pod(self, name: str) -> str:
        """The name of an attempt's pod."""
        return self.kubectl("get", "pods", f"--selector=job-name={name}", "-o", "jsonpath={.items[0].metadata.name}")

    def delete_pod(self, name: str) -> None:
        """By hand."""
        self.kubectl("delete", "pod", self.pod(name), "--wait=false")

    def delete_job(self, name: str) -> None:
        """By hand."""
        self.kubectl("delete", "job", name, "--wait=false")

    def delete_all(self, name: str) -> None:
        """By hand and at once, whatever still runs on a node."""
        self.kubectl("delete", "job", name, "--wait=false", "--cascade=orphan")
        self.kubectl("delete", "pod", self.pod(name), "--force", "--grace-period=0")

    def evict(self, name: str) -> None:
        """As `kubectl drain` does."""
        pod = self.pod(name)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.free}}
        path = f"/api/v1/namespaces/{self.free}/pods/{pod}/eviction"
        self.kubectl("create", f"--raw={path}", "-f", "-", stdin=json.dumps(eviction))

    def suspend(self, name: str) -> None:
        """As Kueue does to let another go first."""
        self.kubectl("patch", "job", name, "--type=merge", '--patch={"spec": {"suspend": true}}')

    def preempt(self, _name: str) -> None:
        """Ask for the only slot with a higher priority."""
        container = {"name": "main", "image": self.cluster.base_image, "resources": {"limits": {self.slot: "1"}}}
        spec = {"priorityClassName": self.free, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
        metadata = {"name": "first", "namespace": self.free}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "containers": [container]}}
        self.cluster.apply(pod)

    def plays(self) -> dict[str, Play]:
        """All that is played."""
        free: JsonObject = {"namespace": self.free}
        slot: JsonObject = {**free, "gpu_resource": self.slot}
        return {
            "deleted pod": Play(operator=free, meddle=_by_hand(self.delete_pod)),
            "deleted job": Play(operator=free, meddle=_by_hand(self.delete_job)),
            "deleted all": Play(operator=free, meddle=_by_hand(self.delete_all)),
            "evicted": Play(operator=free, meddle=_by_hand(self.evict)),
            "suspended": Play(operator=free, meddle=_by_hand(self.suspend)),
            "preempted": Play(operator=slot, variables={"gpus": 1}, meddle=_by_hand(self.preempt)),
            "deadline": Play(operator={**free, "active_deadline": 5}),
            "memory": Play("python3 -c \"x = b'x' * 10**9\"", operator=free, variables={"memory": "64Mi"}),
            "image": Play(operator=free, image="127.0.0.1:1/nowhere:1", told="cannot be pulled"),
            "gpus": Play(operator=free, variables={"gpus": 5}, told="Insufficient nvidia.com/gpu"),
            "secret": Play(operator={**free, "secret_env": {"X": "absent/key"}}, told='secret "absent" not found'),
            "config": Play(
                operator={**free, "volumes": [{"path": "/x", "config": "absent"}]}, told='configmap "absent" not found'
            ),
            "claim": Play(operator={**free, "volumes": [{"path": "/x", "claim": "absent"}]}, told='"absent" not found'),
            "quota": Play(operator={"namespace": self.full}, told="exceeded quota: none"),
            "counted": Play(operator={"namespace": self.counted}, told="exceeded quota: none"),
            "counted, late": Play(operator={"namespace": self.counted}, variables={"start_deadline": 2}),
            "admission": Play(
                operator={"namespace": self.strict, "manifest": _job({**_POD, "securityContext": {"runAsUser": 0}})},
                told="violates PodSecurity",
            ),
            "kueue": Play(operator={**free, "kueue_queue": "team"}, told="Waits for quota in Kueue's queue team"),
            "held": Play(operator={**free, "manifest": _job(_POD, suspend=True)}, told="Its Job is suspended"),
            "policy": Play(operator={"namespace": self.closed}),
            "namespace": Play(operator={"namespace": f"{self.free}-not"}),
            "kind": Play(operator={**free, "manifest": _UNKNOWN}),
            "definition": Play(operator={**free, "manifest": _RAY}),
        }


def _by_hand(change: Callable[[str], None]) -> Meddle:
    return lambda name: asyncio.to_thread(change, name)


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    """Namespaces of this module's own."""
    if not cluster.is_ours:
        pytest.skip("missing part: the cluster of scripts/cluster: KUBECONFIG names another")
    word = f"ends-{uuid.uuid4().hex[:8]}"
    words = ("free", "full", "counted", "strict", "closed")
    names = free, full, counted, strict, closed = [f"{word}-{one}" for one in words]
    made = Place(cluster, free, full, counted, strict, closed, slot=f"launch-jobs.test/{word}")
    core = {"apiVersion": "v1", "kind": "Namespace"}
    labels = {made.strict: {"pod-security.kubernetes.io/enforce": "restricted"}}
    cluster.apply(*({**core, "metadata": {"name": name, "labels": labels.get(name, {})}} for name in names))
    try:
        cluster.apply(_quota(made.full, "pods"), _quota(made.counted, "count/jobs.batch"))
        with _slot(made), _priority(made), _policy(made):
            yield made
    finally:
        cluster.kubectl("delete", "namespace", *names, "--wait=false")


def _quota(namespace: str, what: str) -> JsonObject:
    metadata: JsonObject = {"name": "none", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {what: "0"}}}


@contextmanager
def _slot(place: Place) -> Generator[None]:
    """A node has one of a resource that nobody else asks for."""
    paths = [f"/status/{one}/{place.slot.replace('/', '~1')}" for one in ("capacity", "allocatable")]
    node = ("patch", "node", _NODE, "--subresource=status", "--type=json")
    place.cluster.kubectl(*node, f"--patch={json.dumps([{'op': 'add', 'path': one, 'value': '1'} for one in paths])}")
    try:
        yield
    finally:
        place.cluster.kubectl(*node, f"--patch={json.dumps([{'op': 'remove', 'path': one} for one in paths])}")


@contextmanager
def _priority(place: Place) -> Generator[None]:
    group = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": place.free}}
    place.cluster.apply({**group, "value": 1000})
    try:
        yield
    finally:
        place.cluster.kubectl("delete", "priorityclass", place.free)


@contextmanager
def _policy(place: Place) -> Generator[None]:
    """An admission policy by which no Job is made in the closed namespace."""
    group, name = {"apiVersion": "admissionregistration.k8s.io/v1"}, {"metadata": {"name": place.closed}}
    jobs = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    rule = {"expression": "false", "message": "no Jobs on Sundays"}
    policy = {"matchConstraints": {"resourceRules": [jobs]}, "validations": [rule]}
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.closed}}}
    binding = {"policyName": place.closed, "validationActions": ["Deny"], "matchResources": only}
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    place.cluster.apply(
        *({**group, **name, "kind": kind, "spec": spec} for kind, spec in zip(kinds, (policy, binding), strict=True))
    )
    try:
        trial = ("create", "job", "trial", f"--namespace={place.closed}", "--image=x", "--dry-run=server")
        while place.cluster.kubectl(*trial, check=False):  # it takes the API server a moment to know it
            pass
        yield
    finally:
        place.cluster.kubectl("delete", *(f"{kind}/{place.closed}" for kind in kinds))


@pytest.fixture(scope="module")
def ends(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended | BaseException]:
    """How each ended."""
    home = tmp_path_factory.mktemp("home")
    return asyncio.run(_played(place, home))


async def _played(place: Place, home: Path) -> dict[str, Ended | BaseException]:
    target = KubernetesTarget(access_to(place.cluster.kubeconfig), grants=ClusterGrants(secrets=("absent",), root=True))
    stage, plays = Stage(target, place.cluster.base_image, home), place.plays()
    try:
        found = await asyncio.gather(*map(stage.play, plays.values()), return_exceptions=True)
    finally:
        await target.close()
    return dict(zip(plays, found, strict=True))


ENDS: dict[str, tuple[Reason, str]] = {
    "deleted pod": (Reason.INFRASTRUCTURE, "was deleted by hand"),
    "deleted job": (Reason.INFRASTRUCTURE, "Its object was deleted"),
    "deleted all": (Reason.INFRASTRUCTURE, "Its object and its pods were deleted"),
    "evicted": (Reason.PREEMPTED, "Evicted through the API"),
    "suspended": (Reason.PREEMPTED, "suspended while it ran"),
    "preempted": (Reason.PREEMPTED, "Preempted by a pod of higher priority"),
    "deadline": (Reason.TIMEOUT, "activeDeadlineSeconds"),
    "memory": (Reason.OUT_OF_MEMORY, "memory"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_the_cluster_does_is_named(name: str, ends: dict[str, Ended | BaseException]) -> None:
    """By a reason, upon which it is tried again or not, and in one line."""
    ended = ends[name]
    assert isinstance(ended, Ended), ended
    reason, line = ENDS[name]
    assert ended.outcome.reason is reason, ended.outcome.message
    assert line in ended.outcome.message
    assert (ended.outcome.state is RunState.CRASHED) is reason.is_infrastructure


WAITS = ("image", "gpus", "secret", "config", "claim", "quota", "admission", "kueue", "held")


@pytest.mark.parametrize("name", WAITS)
def test_what_it_waits_for_is_told(name: str, place: Place, ends: dict[str, Ended | BaseException]) -> None:
    """In the cluster's own words; a cancel ends the wait."""
    ended = ends[name]
    assert isinstance(ended, Ended), ended
    assert place.plays()[name].told in ended.told
    assert ended.outcome.state is RunState.CANCELLED


def test_a_quota_of_objects_is_waited_for(ends: dict[str, Ended | BaseException]) -> None:
    """Nothing is there yet; it can be cancelled, or ends by its start deadline, which says why."""
    assert isinstance(ends["counted"], RunCancelled), ends["counted"]
    late = ends["counted, late"]
    assert isinstance(late, NotStartedInTime), late
    assert "start deadline of 2 s: A quota refuses it" in str(late)
    assert "exceeded quota: none" in str(late)


ERRORS: dict[str, tuple[type[LaunchError], str]] = {
    "policy": (Refused, "no Jobs on Sundays"),
    "namespace": (BadInput, 'namespaces "ends-'),
    "kind": (BadInput, "This cluster has no Sweep in example.org/v1"),
    "definition": (BadInput, "install the kind's definition"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_made_is_refused(name: str, ends: dict[str, Ended | BaseException]) -> None:
    """With what to do; nothing is left of it."""
    error, (kind, line) = ends[name], ERRORS[name]
    assert type(error) is kind, error
    assert line in str(error)


def test_nothing_is_left(place: Place, ends: dict[str, Ended | BaseException]) -> None:
    """No object of any of them, but those that Kubernetes is deleting."""
    del ends
    for namespace in (place.free, place.full, place.counted, place.strict, place.closed):
        jobs = place.cluster.get(f"--namespace={namespace}", "jobs")["items"]
        assert all("deletionTimestamp" in job["metadata"] for job in jobs)
