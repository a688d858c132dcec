"""What the demo asks of a Kubernetes cluster beside Launch Jobs, as its administrator: by kubectl."""

import json
import subprocess
import sys

GPU, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"
ATTEMPT = "launch-jobs.org/name"
LOW, URGENT = "low", "urgent"
_NO_GPU = f"""No node of this cluster has GPUs. To let one claim two that are none, until its kubelet starts again:
    kubectl label node NODE {PRODUCT}=NVIDIA-L4
    kubectl patch node NODE --subresource=status --type=merge -p '{{"status": {{"capacity": {{"{GPU}": "2"}}}}}}'"""


class Cluster:
    """A namespace and two priorities, with names of the demo's own."""

    def __init__(self, name):
        self.name = name

    def make(self):
        """Make them. The namespace takes only pods that keep the Restricted standard."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}},
            # What is low here takes nothing from others, and others of this priority take nothing from it.
            {**self._priority(LOW, 0), "preemptionPolicy": "Never"},
            self._priority(URGENT, 1000),
        )

    def _priority(self, name, value):
        metadata = {"name": f"{self.name}-{name}"}
        return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": value}

    def remove(self):
        """Remove them, with all that is in the namespace; True if they are gone."""
        priorities = (f"{self.name}-{LOW}", f"{self.name}-{URGENT}")
        gone = self.kubectl("delete", "priorityclass", *priorities, "--ignore-not-found", check=False)
        gone += self.kubectl("delete", "namespace", self.name, "--ignore-not-found", "--timeout=120s", check=False)
        return gone.count("deleted") == 3

    def kubectl(self, *arguments, stdin=None, check=True):
        """What kubectl prints."""
        command = ["kubectl", f"--namespace={self.name}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode:
            sys.exit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments):
        """The objects that kubectl lists."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))["items"]

    def apply(self, *objects):
        """Make objects."""
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    def gpu_nodes(self):
        """(GPUs, node, product) of each node that has some, the smallest first."""
        nodes = [one for one in self.get("nodes") if not one["spec"].get("unschedulable")]
        counts = [(int(one["status"]["allocatable"].get(GPU, 0)), one["metadata"]) for one in nodes]
        found = sorted((count, one["name"], one["labels"].get(PRODUCT, "")) for count, one in counts if count)
        return found or sys.exit(_NO_GPU)

    def nodes_of(self, run):
        """On which nodes the pods of a run's attempts were, by pod; events tell it when they are gone."""
        events = [one for one in self.get("events") if one.get("reason") == "Scheduled"]
        found = {one["involvedObject"]["name"]: one["message"].rsplit(" ", 1)[-1] for one in events}
        return {pod: node for pod, node in sorted(found.items()) if pod.startswith(f"lj-{run.replace('-', '')}-")}

    def pressed(self, run, node, gpus):
        """Take a running attempt's GPUs for something urgent, until the next attempt waits for them.

        A generator: each step looks once, and tells what it waits for; at its end the urgent pod is gone again.
        """
        first, second = (f"lj-{run.replace('-', '')}-a{number}" for number in (1, 2))
        while not (image := self._running_image(first)):
            yield "its start"
        self.apply(self._urgent_pod(image, node, gpus))
        try:
            while not self._pods("Running", f"app={URGENT}"):
                yield "the urgent pod to take its GPUs"
            while not self._pods("Pending", f"{ATTEMPT}={second}"):
                yield "its next attempt"
        finally:
            self.kubectl("delete", "pod", URGENT)

    def _running_image(self, attempt):
        """The image of an attempt's program, once it runs."""
        for pod in self._pods("Running", f"{ATTEMPT}={attempt}"):
            return pod["spec"]["containers"][0]["image"]
        return None

    def _pods(self, phase, selector):
        return [pod for pod in self.get("pods", "-l", selector) if pod["status"]["phase"] == phase]

    def _urgent_pod(self, image, node, gpus):
        metadata = {"name": URGENT, "labels": {"app": URGENT}}
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        container = {"name": "main", "image": image, "command": ["sleep", "3600"], "securityContext": security}
        container["resources"] = {"limits": {GPU: str(gpus)}}
        spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
        spec |= {"nodeSelector": {"kubernetes.io/hostname": node}, "priorityClassName": f"{self.name}-{URGENT}"}
        spec |= {"automountServiceAccountToken": False}
        user = {"runAsUser": 1000, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "securityContext": user}}
