"""How datasets get into a pod: a volume, and a small container before the program that waits for them. Pure.

The agent streams them into that container, which compares what it got with the digest that the agent has of it; until
both agree nothing of the program starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.kinds import WorkloadKind
from launch_jobs.targets.kubernetes.manifest import PodParts
from launch_jobs.targets.kubernetes.paths import first, items, names_of
from launch_jobs.targets.kubernetes.releasing import pod_count
from launch_jobs.targets.kubernetes.security import pod_specs

DATA = "launch-data"
"""Name of the container and of its volume; a volume of this name in the queue's manifest takes the place of ours."""

_DATASETS = PurePosixPath("/launch/datasets")
_MEMORY, _CPU = "64Mi", "10m"
_OPEN, _CLOSED = 0o777, 0o755

_WAIT = """\
for one in df head mkfifo sha256sum tail tar tee; do
  command -v "$one" >/dev/null || { echo "its image has no $one, which datasets need" >&2; exit 127; }
done
until [ -e /launch/data/all ]; do sleep 0.2 2>/dev/null || sleep 1; done
"""

RECEIVE = """\
fail() { echo "failed $*"; [ -z "$beat" ] || kill "$beat"; cat >/dev/null; exit 1; }
receive() {
  new=/launch/data/new-$1 size=$2 beat=
  shift 2
  [ -e /launch/data/all ] && exit 0
  rm -rf /launch/data/new-*
  mkdir "$new" "$new/files" && mkfifo "$new/pipe" || fail
  number=0
  for folder in "$@"; do
    here=$new/files/t/$number number=$((number + 1))
    mkdir -p "$here" || fail
    [ ! -d "$folder" ] || tar -C "$folder" -cf - . | tar -C "$here" -xpof - || fail
    chmod 777 "$here"
  done
  set -- $(df -Pk "$new" | tail -n 1)
  [ "$4" -ge $((size / 1024)) ] || fail "No space left on device: $((size / 1024)) KiB are needed, $4 KiB are free"
  while echo; do sleep 5 </dev/null >/dev/null 2>&1 3>&-; done &
  beat=$!
  sha256sum <"$new/pipe" >"$new/sum" &
  sum=$!
  echo ready
  head -c "$size" | tee "$new/pipe" | tar -C "$new/files" -xpof - || fail
  wait "$sum"
  kill "$beat"
  read -r found rest <"$new/sum" && echo "sum $found"
}
receive "$@" 3>&2 2>&1
"""
"""Takes an archive of `$2` bytes on stdin once it says `ready`; says `sum` and its SHA-256, or why it has `failed`.

The folders that are named after that keep what the image has in them. Each delivery begins anew, in a folder of its
own; what a broken one left goes. A line now and then says that the connection lives while the disk is slow. Where it
fails it goes on reading until the agent, who is told, sends no more: else its last words might be lost with the
connection. Stderr stays open (as 3): where it is closed, Kubernetes closes stdin, too.
"""

ACCEPT = """\
[ -e /launch/data/all ] && exit 0
read -r found rest <"/launch/data/new-$1/sum" && [ "$found" = "$2" ] && mv "/launch/data/new-$1/files" /launch/data/all
"""
"""Gives what a delivery brought its lasting place if it has this SHA-256, and so lets the program start."""


@dataclass(frozen=True, slots=True)
class DataLayout:
    """Where the datasets of an attempt lie in a pod's volume.

    Attributes:
        places: absolute path at run time → path in the volume.
        folders: of the source tree, in which datasets lie: `t/<number>` in the volume.
        mounts: of the program's containers.
    """

    places: dict[str, str]
    folders: tuple[str, ...]
    mounts: tuple[JsonObject, ...]


def data_layout(spec: RunSpec) -> DataLayout:
    """Where the datasets of an attempt lie in a pod's volume, and where the program sees them."""
    root = PurePosixPath(spec.root) if spec.root else None
    inside = [path for path in sorted(spec.datasets) if root and PurePosixPath(path).is_relative_to(root)]
    folders = tuple(_folders(inside, frozenset(spec.dataset_files), root or PurePosixPath("/")))
    places: dict[str, str] = {}
    mounts = {folder: _mount(f"t/{number}", folder, is_open=True) for number, folder in enumerate(folders)}
    for number, path in enumerate(sorted(spec.datasets)):
        pure = PurePosixPath(path)
        holder = next((one for one in folders if path in inside and pure.is_relative_to(one)), None)
        if holder is not None:
            places[path] = str(PurePosixPath(f"t/{folders.index(holder)}", pure.relative_to(holder)))
        elif pure.parent == _DATASETS:
            places[path] = f"d/{pure.name}"
            mounts[str(_DATASETS)] = _mount("d", str(_DATASETS))
        else:
            places[path] = f"a/{number}"
            mounts[path] = _mount(places[path], path)
    return DataLayout(places, folders, tuple(mounts.values()))


def _folders(inside: list[str], files: frozenset[str], root: PurePosixPath) -> Iterator[str]:
    """The outermost folders of the source tree to be mounted: datasets, and those around single files."""
    wanted = {PurePosixPath(path).parent if path in files else PurePosixPath(path) for path in inside} - {root}
    yield from (str(one) for one in sorted(wanted) if not wanted.intersection(one.parents))


def _mount(sub_path: str, path: str, *, is_open: bool = False) -> JsonObject:
    return {"name": DATA, "mountPath": path, "subPath": f"all/{sub_path}", "readOnly": not is_open}


def folder_mode(place: str) -> int:
    """Of a dataset's folders at a place in the volume: in the source tree the program may write beside its data."""
    return _OPEN if place.startswith("t/") else _CLOSED


def with_data(parts: PodParts, spec: RunSpec, image: str) -> PodParts:
    """What each pod gets, with a container that waits for datasets, and their volume.

    Args:
        parts: that it gets in any case.
        spec: of the attempt.
        image: of the container. For data in the source tree it is the program's own, which has that tree.
    """
    if not spec.datasets:
        return parts
    layout = data_layout(spec)
    waiter: JsonObject = {
        "name": DATA,
        "image": spec.image if layout.folders else image,
        "command": ["/bin/sh", "-c", _WAIT],
        "workingDir": "/",
        "volumeMounts": [{"name": DATA, "mountPath": "/launch/data"}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": _CPU, "memory": _MEMORY}, "limits": {"memory": _MEMORY}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    volume: JsonObject = {"name": DATA, "emptyDir": {}}
    return replace(
        parts,
        init_containers=(*parts.init_containers, waiter),
        volumes=(*parts.volumes, volume),
        mounts=(*parts.mounts, *layout.mounts),
    )


def awaits_data(pod: JsonObject) -> bool:
    """Whether the container runs that waits for datasets."""
    return any(first(one, "state.running") is not None for one in _waiters(pod))


def wants_data(kind: WorkloadKind, seen: Seen) -> bool:
    """Whether a pod of an attempt has not got its datasets, or one may come that will want them."""
    made = seen.object
    if made is None or not any(DATA in names_of(items(pod, "initContainers")) for _, pod in pod_specs(made)):
        return False
    if kind.retries and first(made, kind.retries):
        return True
    served = [pod for pod in seen.pods if any(first(one, "state.terminated.exitCode") == 0 for one in _waiters(pod))]
    return len(served) < max(len(seen.pods), pod_count(kind, made))


def _waiters(pod: JsonObject) -> Iterator[JsonObject]:
    status = pod.get("status")
    found = items(status, "initContainerStatuses") if isinstance(status, dict) else []
    yield from (one for one in found if one.get("name") == DATA)
