"""`scripts/cluster`: start, stop and describe the test cluster."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable

from cluster import faults, foreign, lifecycle
from cluster.commands import ClusterError
from cluster.layout import HOST_ADDRESS, NODES, Layout, find_layout
from cluster.programs import see_to_programs, tools
from filelock import FileLock

_USAGE = "usage: cluster build | start | stop | status | env | import IMAGE | kill|hold|release NODE PART"


def _start(layout: Layout) -> int:
    if given := foreign.find(layout):
        print(f"Using the cluster of KUBECONFIG: {given}")
        return 0
    if os.geteuid() != 0:
        raise ClusterError("starting a cluster needs root; or name one by KUBECONFIG")
    lifecycle.start(layout)
    return 0


def _build(layout: Layout) -> int:
    """Only what `start` would do first, so that it can be done beside something else."""
    if not foreign.find(layout):
        see_to_programs(layout)
    return 0


def _stop(layout: Layout) -> int:
    lifecycle.stop(layout)
    return 0


def _status(layout: Layout) -> int:
    if given := foreign.find(layout):
        print(f"The cluster of KUBECONFIG: {given}")
        return 0
    running = lifecycle.is_running(layout)
    left = lifecycle.leftovers(layout)
    print(f"running: {layout.kubeconfig}" if running else "not running", *left, sep="\n  ")
    return 0 if running else 1


def _env(layout: Layout) -> int:
    """Settings for `eval`."""
    if not foreign.find(layout):
        if not lifecycle.is_running(layout):
            raise ClusterError("not running: scripts/cluster start")
        values = {
            "KUBECONFIG": str(layout.kubeconfig),
            "LAUNCH_JOBS_CLUSTER_REGISTRY": f"127.0.0.1:{layout.registry_port.read_text()}",
            "LAUNCH_JOBS_CLUSTER_NODE_REGISTRY": f"{NODES[0].address}:{layout.registry_port.read_text()}",
            "LAUNCH_JOBS_CLUSTER_HOST": HOST_ADDRESS,
        }
        for name, value in values.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f'export PATH={shlex.quote(str(tools(layout)))}:"$PATH"')
    return 0


_COMMANDS: dict[str, Callable[[Layout], int]] = {
    "build": _build,
    "start": _start,
    "stop": _stop,
    "status": _status,
    "env": _env,
}
_FAULTS = {"kill": faults.kill, "hold": faults.hold, "release": faults.release}


def main(arguments: list[str]) -> int:
    """Do what was asked; one at a time."""
    layout = find_layout()
    layout.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(layout.home / "lock"):
            match arguments:
                case ["import", reference]:
                    lifecycle.import_image(layout, reference)
                    return 0
                case ["kill" | "hold" | "release" as fault, name, part]:
                    _FAULTS[fault](layout, faults.find_node(name), part)
                    return 0
                case [name] if name in _COMMANDS:
                    return _COMMANDS[name](layout)
                case _:
                    print(_USAGE, file=sys.stderr)
                    return 2
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
