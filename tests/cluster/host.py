"""What the test cluster changes on this host beside the network: processes, cgroups, kernel settings; and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from cluster.commands import ClusterError
from cluster.layout import CGROUP, NODES, Layout, Node

_HIERARCHIES = Path("/sys/fs/cgroup")
_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""Which a kubelet sets (its `setupKernelTunables`), beside two limits of keys that only grow."""


def start_detached(command: list[str], log: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, in a session of its own."""
    with log.open("ab") as out:
        return subprocess.Popen(command, stdin=stdin, stdout=out, stderr=out, start_new_session=True)


def processes_of(layout: Layout) -> list[int]:
    """The processes of this host that name the cluster's run folder: nodes' first ones and the registry."""
    token = f"{layout.run}/".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and token in _arguments(entry) and int(entry.name) != os.getpid()
    ]


def first_process(layout: Layout, node: Node) -> int:
    """The first process of a node, as this host numbers it: what `unshare` started."""
    token = f"{layout.run}/{node.name}".encode()
    for pid in processes_of(layout):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if token in arguments and arguments[0] != b"unshare":
            return pid
    raise ClusterError(f"node {node.name} is not running")


def _arguments(process: Path) -> bytes:
    try:
        arguments = (process / "cmdline").read_bytes()
    except OSError:
        return b""
    kinds = (b"cluster.node", b"docker-registry")
    return arguments if any(kind in arguments for kind in kinds) else b""


def end_processes(layout: Layout) -> None:
    """Kill them; the end of a node's first process is the end of all in it."""
    end = time.monotonic() + 60
    while pids := processes_of(layout):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise ClusterError(f"these processes do not end: {pids}")
        time.sleep(0.05)


def make_cgroups() -> None:
    """Make every node's cgroup, under which its kubelet makes those of the pods."""
    for folder in _roots():
        for node in NODES:
            (folder / node.name).mkdir(parents=True, exist_ok=True)


def remove_cgroups() -> None:
    """Remove them, when their processes are gone."""
    end = time.monotonic() + 20
    for root in _roots():
        # The deepest first; a folder of a cgroup cannot be emptied, only removed.
        for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
            _remove(folder, end)
        _remove(root, end)


def _remove(folder: Path, end: float) -> None:
    while folder.exists():
        try:
            folder.rmdir()
        except OSError as error:
            if time.monotonic() > end:
                raise ClusterError(f"{folder} is still in use") from error
            time.sleep(0.05)


def cgroups() -> list[Path]:
    """Those that are there."""
    return [folder for folder in _roots() if folder.exists()]


def _roots() -> list[Path]:
    """One in each hierarchy, or in the only one of cgroup v2."""
    if (_HIERARCHIES / "cgroup.controllers").exists():
        return [_HIERARCHIES / CGROUP]
    return [folder / CGROUP for folder in _HIERARCHIES.iterdir() if (folder / "cgroup.procs").exists()]


def remember_settings(layout: Layout) -> None:
    """Write down the kernel's settings that a kubelet changes."""
    values = {name: (Path("/proc/sys") / name).read_text().strip() for name in _SETTINGS}
    (layout.run / "settings.json").write_text(json.dumps(values))


def restore_settings(layout: Layout) -> None:
    """Put them back."""
    with suppress(FileNotFoundError):
        for name, value in json.loads((layout.run / "settings.json").read_text()).items():
            (Path("/proc/sys") / name).write_text(value)
