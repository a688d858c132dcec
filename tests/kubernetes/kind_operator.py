"""Plays the operators of JobSet and PyTorchJob in one namespace, as plainly as can be: `PROGRAM SOCKET NAMESPACE`.

SOCKET is one of `kubectl proxy`. A JobSet becomes Jobs, a PyTorchJob pods with ranks; their ends become the conditions
that the real operators write. Nothing of Launch Jobs is used.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx

Object = dict[str, Any]

_PAUSE_S = 0.2
_NOT_FOUND, _CONFLICT = 404, 409


class Operator:
    """Looks at all objects of one namespace, again and again.

    Args:
        api: the API server.
        namespace: the only one that it looks at.
    """

    def __init__(self, api: httpx.Client, namespace: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._services = f"/api/v1/namespaces/{namespace}/services"
        self._jobsets = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{namespace}/jobsets"
        self._pytorchjobs = f"/apis/kubeflow.org/v1/namespaces/{namespace}/pytorchjobs"

    def step(self) -> None:
        """Bring each object one step further."""
        for made in self._alive(self._jobsets, "jobset.x-k8s.io/v1alpha2", "JobSet"):
            self._jobset(made)
        for made in self._alive(self._pytorchjobs, "kubeflow.org/v1", "PyTorchJob"):
            self._pytorchjob(made)

    def _alive(self, path: str, version: str, kind: str) -> list[Object]:
        found = [{**one, "apiVersion": version, "kind": kind} for one in self._list(path)]
        return [one for one in found if "deletionTimestamp" not in one["metadata"] and not _is_over(one)]

    def _jobset(self, made: Object) -> None:
        name = made["metadata"]["name"]
        if made["spec"].get("suspend"):
            self._tell(self._jobsets, made, "Suspended", {})
            return
        self._create(self._services, _service(made))
        for group in made["spec"]["replicatedJobs"]:
            for number in range(group.get("replicas", 1)):
                self._create(self._jobs, _job(made, group, number))
        jobs = self._list(self._jobs, f"jobset.sigs.k8s.io/jobset-name={name}")
        ends = [_condition(job, "Complete", "Failed") for job in jobs]
        if "Failed" in ends:
            self._tell(self._jobsets, made, "Failed", {"terminalState": "Failed"})
        elif ends and set(ends) == {"Complete"}:
            self._tell(self._jobsets, made, "Completed", {"terminalState": "Completed"})

    def _pytorchjob(self, made: Object) -> None:
        name = made["metadata"]["name"]
        if made["spec"].get("runPolicy", {}).get("suspend"):
            self._tell(self._pytorchjobs, made, "Suspended", {})
            return
        self._create(self._services, _service(made))
        ranks = [(kind, replica) for kind in ("Master", "Worker") for replica in range(_replicas(made, kind))]
        for rank, (kind, replica) in enumerate(ranks):
            self._create(self._pods, _ranked_pod(made, kind, replica, (rank, len(ranks))))
        pods = self._list(self._pods, f"training.kubeflow.org/job-name={name}")
        phases = [pod["status"].get("phase") for pod in pods]
        if "Failed" in phases:
            self._tell(self._pytorchjobs, made, "Failed", {})
        elif len(phases) == len(ranks) and set(phases) == {"Succeeded"}:
            self._tell(self._pytorchjobs, made, "Succeeded", {})
        elif "Running" in phases:
            self._tell(self._pytorchjobs, made, "Running", {})

    def _list(self, path: str, selector: str = "") -> list[Object]:
        answer = self._api.get(path, params={"labelSelector": selector} if selector else {})
        return answer.raise_for_status().json()["items"] if answer.status_code != _NOT_FOUND else []

    def _create(self, path: str, made: Object) -> None:
        answer = self._api.post(path, json=made)
        if answer.status_code != _CONFLICT:
            answer.raise_for_status()

    def _tell(self, path: str, made: Object, condition: str, more: Object) -> None:
        if _condition(made, condition):
            return
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        told = {"type": condition, "status": "True", "reason": condition, "message": "", "lastTransitionTime": now}
        before = [{**one, "status": "False"} for one in made.get("status", {}).get("conditions", [])]
        patch = {"status": {"conditions": [*before, told], **more}}
        headers = {"Content-Type": "application/merge-patch+json"}
        self._api.patch(f"{path}/{made['metadata']['name']}/status", json=patch, headers=headers).raise_for_status()


def _is_over(made: Object) -> bool:
    return _condition(made, "Completed", "Succeeded", "Failed") is not None


def _condition(made: Object, *types: str) -> str | None:
    """The first of these conditions that is True."""
    conditions = made.get("status", {}).get("conditions", [])
    return next((one["type"] for one in conditions if one["type"] in types and one["status"] == "True"), None)


def _metadata(owner: Object, name: str, labels: Object) -> Object:
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return {"name": name, "labels": labels, "ownerReferences": [{**reference, "controller": True}]}


def _service(owner: Object) -> Object:
    name = owner["metadata"]["name"]
    label = "jobset.sigs.k8s.io/jobset-name" if owner["kind"] == "JobSet" else "training.kubeflow.org/job-name"
    spec = {"clusterIP": "None", "selector": {label: name}, "publishNotReadyAddresses": True}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(owner, name, {}), "spec": spec}


def _job(owner: Object, group: Object, number: int) -> Object:
    """One Job of a group; its pods are labelled, indexed and named as JobSet does it."""
    jobset = owner["metadata"]["name"]
    marks = {
        "jobset.sigs.k8s.io/jobset-name": jobset,
        "jobset.sigs.k8s.io/replicatedjob-name": group["name"],
        "jobset.sigs.k8s.io/job-index": str(number),
    }
    spec: Object = {"completionMode": "Indexed", **group["template"]["spec"]}
    template: Object = spec["template"]
    metadata: Object = template.get("metadata", {})
    metadata = {**metadata, **{key: {**metadata.get(key, {}), **marks} for key in ("labels", "annotations")}}
    spec["template"] = {"metadata": metadata, "spec": {**template["spec"], "subdomain": jobset}}
    made = _metadata(owner, f"{jobset}-{group['name']}-{number}", marks)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": spec}


def _replicas(made: Object, kind: str) -> int:
    replica = made["spec"]["pytorchReplicaSpecs"].get(kind)
    return replica.get("replicas", 1) if replica else 0


def _ranked_pod(owner: Object, kind: str, replica: int, place: tuple[int, int]) -> Object:
    """One pod of a PyTorchJob, with the variables that its operator gives."""
    job, (rank, size) = owner["metadata"]["name"], place
    spec = owner["spec"]["pytorchReplicaSpecs"][kind]
    template = spec["template"]
    name = f"{job}-{kind.lower()}-{replica}"
    env = {"MASTER_ADDR": f"{job}-master-0.{job}", "MASTER_PORT": "23456", "RANK": str(rank), "WORLD_SIZE": str(size)}
    variables = [{"name": key, "value": value} for key, value in env.items()]
    containers = [{**one, "env": [*one.get("env", []), *variables]} for one in template["spec"]["containers"]]
    labels = {**template.get("metadata", {}).get("labels", {}), "training.kubeflow.org/job-name": job}
    metadata = {**template.get("metadata", {}), **_metadata(owner, name, labels)}
    pod = {**template["spec"], "containers": containers, "restartPolicy": spec["restartPolicy"]}
    pod |= {"hostname": name, "subdomain": job}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


def main(socket: str, namespace: str) -> None:
    """Play on until somebody ends it."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket), base_url="http://localhost", timeout=30) as api:
        operator = Operator(api, namespace)
        while True:
            try:
                operator.step()
            except httpx.HTTPError as error:
                print(error, getattr(getattr(error, "response", None), "text", ""), file=sys.stderr, flush=True)
            time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
