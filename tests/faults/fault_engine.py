"""Docker under the campaign: what the engine itself says of containers, outside every fault, and what is left there."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fault_history import Seen

from launch_jobs.targets.render import LABEL_PREFIX

SOCKET = "/var/run/docker.sock"
_RUN, _ATTEMPT = f"{LABEL_PREFIX}run", f"{LABEL_PREFIX}attempt"


@dataclass
class EngineWitness:
    """`docker events` into a file, straight from the engine."""

    file: Path
    process: subprocess.Popen[bytes]

    def seen(self, runs: set[str]) -> tuple[Seen, ...]:
        """Starts and ends of containers of these runs."""
        return tuple(seen for seen in _read(self.file) if seen.run in runs)

    def close(self) -> None:
        """Stop looking."""
        self.process.kill()
        self.process.wait()


def engine_witness(file: Path) -> EngineWitness:
    """Begin to look."""
    kinds = [word for kind in ("start", "die") for word in ("--filter", f"event={kind}")]
    with file.open("wb") as out:
        process = subprocess.Popen(
            ["docker", "events", "--filter", f"label={_RUN}", *kinds, "--format", "{{json .}}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    return EngineWitness(file, process)


def _read(file: Path) -> Iterator[Seen]:
    apart = time.time() - time.monotonic()
    for line in file.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            event = json.loads(line)
            labels = event["Actor"]["Attributes"]
            code = int(labels["exitCode"]) if event["Action"] == "die" else None
            yield Seen(labels[_RUN], int(labels.get(_ATTEMPT, 1)), 0, event["timeNano"] / 1e9 - apart, code)


def containers_of(runs: set[str]) -> list[str]:
    """Names of containers of these runs, ended ones too."""
    listed = _docker("ps", "-a", "--filter", f"label={_RUN}", "--format", f'{{{{.Label "{_RUN}"}}}} {{{{.Names}}}}')
    return [f"container {name}" for run, name in (line.split() for line in listed) if run in runs]


def remove_all(job: str, runs: set[str]) -> None:
    """Remove what the campaign itself may have left: containers of these runs, images of its job."""
    for name in containers_of(runs):
        _docker("rm", "-f", name.removeprefix("container "))
    for image in set(_docker("images", "-q", "--filter", f"label={LABEL_PREFIX}job-digest={job}")):
        _docker("rmi", "-f", image)


def remove_labelled(label: str) -> None:
    """Remove all containers with a label."""
    for container in _docker("ps", "-aq", "--filter", f"label={label}"):
        _docker("rm", "-f", container)


def _docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.splitlines()
