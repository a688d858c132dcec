"""The first process of a node: in namespaces of its own, it mounts, starts the node's parts, and starts them again.

Started by `unshare`; when it dies, the kernel ends every process of the node, takes its mounts away, and its network.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster.layout import INSIDE

_PAUSE = 1.0
"""Seconds before a part that has ended is started again, as a service manager does."""


@dataclass
class _Parts:
    folder: Path
    logs: Path
    commands: dict[str, list[str]]
    running: dict[int, str] = field(default_factory=dict[int, str])
    due: dict[str, float] = field(default_factory=dict[str, float])

    def start(self, name: str) -> None:
        """Start a part, unless a file `hold/NAME` forbids it."""
        if (self.folder / "hold" / name).exists():
            self.due[name] = time.monotonic() + _PAUSE
            return
        with (self.logs / f"{self.folder.name}.{name}.log").open("ab") as log:
            process = subprocess.Popen(self.commands[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process.returncode = 0  # whoever ends is waited for in `run`
        self.running[process.pid] = name
        (self.folder / "pids" / name).write_text(str(process.pid))

    def run(self) -> None:
        """Start all, and whatever ends again, for ever."""
        for name in self.commands:
            self.start(name)
        while True:
            self._collect()
            for name in [name for name, when in self.due.items() if when <= time.monotonic()]:
                del self.due[name]
                self.start(name)
            time.sleep(0.1)

    def _collect(self) -> None:
        """Wait for ended children, the orphans of others among them."""
        while self.running and (pid := os.waitpid(-1, os.WNOHANG)[0]):
            name = self.running.pop(pid, None)
            if name:
                self.due[name] = time.monotonic() + _PAUSE


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def _make_room(home: Path, name: str, resolver: str) -> Path:
    """Give the node a /run and a /var of its own, and the cluster's folder at a fixed place. Returns the node's."""
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    INSIDE.mkdir()
    _mount("--bind", str(home), str(INSIDE))
    folder = INSIDE / "run" / name
    for part in ("var/lib", "var/log", "var/tmp", "pids", "hold"):
        (folder / part).mkdir(parents=True)
    (folder / "var" / "run").symlink_to("/run")
    _mount("--bind", str(folder / "var"), "/var")
    _mount("--make-rshared", "/")
    names = Path("/etc/resolv.conf").resolve()
    if not names.exists():  # it was in the former /run
        names.parent.mkdir(parents=True, exist_ok=True)
        names.write_text(resolver)
    return folder


def main() -> None:
    """Read what to do from standard input, once the launcher has plugged in the network."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.loads(sys.stdin.readline())
    socket.sethostname(order["name"])
    folder = _make_room(Path(order["home"]), order["name"], order["resolver"])
    os.environ["PATH"] = f"{INSIDE}/programs:{os.environ['PATH']}:/usr/sbin:/sbin"
    for name in ("containerd", "docker-registry"):
        assert shutil.which(name), name
    _Parts(folder, INSIDE / "logs", order["commands"]).run()


if __name__ == "__main__":
    main()
