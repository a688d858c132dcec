"""How outputs come home from a pod: a small container that keeps its volumes until the agent has fetched them. Pure.

The program's container is over when its program is; what it left lies in volumes of the pod. The keeper sees the pod's
processes, so it knows without a word from the program when that ended, and waits for the agent a bounded while.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from pydantic import JsonValue

from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.manifest import PodParts
from launch_jobs.targets.kubernetes.releasing import as_ended

KEEPER = "launch-keeper"
TREE = "/launch/tree"
"""Where files lie that the program wrote in its source tree."""

NOTES = ".launch-left-out"
"""A file there: paths that could not be kept, one a line."""

HOLD_S = 30
"""Seconds of a deletion in which outputs can still be fetched, after those that the program has to end."""

_MEMORY, _CPU = "64Mi", "10m"

_BUSY = """\
busy() {
  for one in /proc/[0-9]*; do
    [ "$one" = /proc/1 ] && continue
    [ "$one/ns/mnt" -ef /proc/self/ns/mnt ] 2>/dev/null || return 0
  done
  return 1
}
"""
"""Whether processes of other containers run; the pod's first process is nobody's."""

_KEEP = """\
trap 'busy || exit 0' TERM
trap 'exit 0' USR1
left=$1
while [ "$left" -gt 0 ]; do
  sleep 1 &
  wait $!
  if busy; then left=$1; else left=$((left - 1)); fi
done
"""
"""Ends so many seconds after the program.

SIGTERM, which says that the pod is deleted, ends it at once if the program has ended by then; else what the program
still writes is kept. SIGUSR1 ends it.
"""

QUIET = ("/bin/sh", "-c", _BUSY + "while busy; do sleep 0.2; done")
"""A command in a keeper that ends with the program. Of a deleted pod Kubernetes tells no end but that of all."""

RELEASE = (
    *("/bin/sh", "-c"),
    'for one in /proc/[0-9]*; do [ "$one" = "/proc/$$" ] && continue; '
    '[ "$one/ns/mnt" -ef /proc/self/ns/mnt ] 2>/dev/null && kill -USR1 "${one#/proc/}"; done; true',
)
"""A command in a keeper that ends it."""

KILL = (
    *("/bin/sh", "-c"),
    'for one in /proc/[0-9]*; do [ "$one" = /proc/1 ] && continue; '
    '[ "$one/ns/mnt" -ef /proc/self/ns/mnt ] 2>/dev/null || kill -KILL "${one#/proc/}"; done 2>/dev/null; true',
)
"""A command in a keeper that ends the program hard, and not the keeper: a pod's grace cannot be made shorter."""

_WRAP = """\
import json, os, signal, subprocess, sys, time
tree, root, paths, argv = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:]
began, child = time.clock_gettime(5), None  # CLOCK_REALTIME_COARSE, the clock of files: time() may be ahead of it
def forward(number, frame):
    if child is not None:
        child.send_signal(number)
for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(one, forward)
try:
    child = subprocess.Popen(argv)
except OSError as error:
    print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
    sys.exit(126 if isinstance(error, PermissionError) else 127)
code = child.wait()
import shutil
lost = []
def keep(path, since):
    there = os.path.join(root, path)
    try:
        if os.path.islink(there) or (os.path.isfile(there) and os.stat(there).st_mtime < since):
            return
        if os.path.isfile(there):
            os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
            shutil.copy2(there, os.path.join(tree, path))
        elif os.path.isdir(there):
            for name in sorted(os.listdir(there)):
                if not (since and name == "__pycache__"):
                    keep(os.path.join(path, name), since)
    except OSError:
        lost.append(path)
for path in [""] if paths is None else paths:
    keep(path, began if paths is None else 0)
try:
    if lost:
        with open(os.path.join(tree, ".launch-left-out"), "w") as file:
            file.write("\\n".join(lost))
except OSError:
    pass
sys.exit(128 - code if code < 0 else code)
"""
"""Runs the program as its child: hands on signals, keeps its exit code, and copies what it wrote beside its source."""

_WITH_PYTHON = (
    'python=$(command -v python3) && exec "$python" -I -S -c "$0" "$@"; '
    'echo "(all of $2: the image has no python3)" > "$1/.launch-left-out"; shift 3; exec "$@"'
)


def keeper_parts(spec: RunSpec, image: str, wait_s: int) -> PodParts:
    """What each pod gets so that its outputs can be fetched.

    Args:
        spec: of the attempt.
        image: of the keeper; it needs `/bin/sh` and `tar`.
        wait_s: how long after the program's end a keeper waits for an agent.
    """
    volumes = {"launch-outputs": spec.output_dir}
    if has_tree(spec):
        volumes["launch-tree"] = TREE
    mounts = tuple(cast("JsonObject", {"name": name, "mountPath": path}) for name, path in volumes.items())
    keeper: JsonObject = {
        "name": KEEPER,
        "image": image,
        "command": ["/bin/sh", "-c", _BUSY + _KEEP, "sh", str(wait_s)],
        "workingDir": "/",
        "volumeMounts": list[JsonValue](mounts),
        "resources": {"requests": {"cpu": _CPU, "memory": _MEMORY}, "limits": {"memory": _MEMORY}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return PodParts(
        containers=(keeper,),
        volumes=tuple(cast("JsonObject", {"name": name, "emptyDir": {}}) for name in volumes),
        mounts=mounts,
        wrapper=_wrapper(spec),
        # The keeper sees when the program has ended, and outlives it for a while when its pod is deleted.
        settings={
            "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": round(spec.stop_grace_s) + HOLD_S,
        },
    )


def has_tree(spec: RunSpec) -> bool:
    """Whether files in the source tree are outputs, too."""
    return bool(spec.root and spec.command and spec.collect != ())


def _wrapper(spec: RunSpec) -> tuple[str, ...]:
    if not has_tree(spec):
        return ()
    return ("/bin/sh", "-c", _WITH_PYTHON, _WRAP, TREE, spec.root or "/", json.dumps(spec.collect))


def as_if_released(seen: Seen, kind: WorkloadKind) -> Seen:
    """What is seen of an attempt, as it will be when its keepers have ended: they are not what it waits for."""
    pods = tuple(_without_keeper(pod) for pod in seen.pods)
    if pods == seen.pods:
        return seen
    return Seen(as_ended(kind, seen.object, pods) if seen.object else None, pods, seen.events)


def silenced(pod: JsonObject, ended: str) -> JsonObject:
    """A pod whose keeper says that its program is over, as Kubernetes will tell it when the keeper is. Pure."""
    status = _dict(pod, "status")
    over: JsonObject = {"terminated": {"exitCode": 143, "reason": "Error", "finishedAt": ended}}
    statuses: list[JsonValue] = [
        one if one.get("name") == KEEPER or "running" not in _dict(one, "state") else {**one, "state": over}
        for one in _list(status, "containerStatuses")
    ]
    return {**pod, "status": {**status, "containerStatuses": statuses}}


def _without_keeper(pod: JsonObject) -> JsonObject:
    status = _dict(pod, "status")
    statuses = _list(status, "containerStatuses")
    others = [one for one in statuses if one.get("name") != KEEPER]
    if len(others) == len(statuses):
        return pod
    ends = [_dict(_dict(one, "state"), "terminated") for one in others]
    phase = status.get("phase")
    if others and all(ends):
        phase = "Failed" if any(end.get("exitCode") for end in ends) else "Succeeded"
    return {**pod, "status": {**status, "phase": phase, "containerStatuses": list[JsonValue](others)}}


def keepers(pods: tuple[JsonObject, ...]) -> Iterator[JsonObject]:
    """The pods in which a keeper runs."""
    for pod in pods:
        statuses = _list(_dict(pod, "status"), "containerStatuses")
        if any(one.get("name") == KEEPER and "running" in _dict(one, "state") for one in statuses):
            yield pod


def _dict(value: JsonObject, key: str) -> JsonObject:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _list(value: JsonObject, key: str) -> list[JsonObject]:
    found = value.get(key)
    return cast("list[JsonObject]", found) if isinstance(found, list) else []
