"""What all reports of benchmarks share: what they ran on, and a section each in RESULTS.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "RESULTS.md"


def machine() -> dict[str, Any]:
    """The machine, and the versions of what was measured."""
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "docker": engine.stdout.strip(),
        **{name: importlib.metadata.version(name) for name in ("prefect", "prefect-docker", "launch-jobs")},
    }


def machine_line(machine: dict[str, Any], command: str) -> str:
    """The machine in a sentence, and what was run on it."""
    return (
        f"{machine['date']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['system']}, load "
        f"{machine['load']}; Python {machine['python']}, Prefect {machine['prefect']}, prefect-docker "
        f"{machine['prefect-docker']}, Docker {machine['docker']}, Launch Jobs {machine['launch-jobs']}. "
        f"By `{command}`."
    )


def write_section(name: str, text: str, into: Path = RESULTS) -> None:
    """Write one benchmark's section of a document between its marks; a first one goes to the end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = into.read_text() if into.exists() else "# Results of the benchmarks\n"
    if begin not in old:
        old = f"{old.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = old.partition(begin)
    _, _, tail = rest.partition(end)
    into.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
