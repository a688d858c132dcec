"""The machine that we are on."""

from __future__ import annotations

import os
import platform
import re
import socket
from pathlib import Path

from launch_jobs.job import Host

_NVIDIA = Path("/proc/driver/nvidia")
_DRIVER = re.compile(r"Kernel Module\s.*?([0-9]+\.[0-9][0-9.]*)")


def this_host(nvidia: Path = _NVIDIA) -> Host:
    """Name, system, processors that we may use, memory, and GPUs (NVIDIA, Linux) with their driver of this machine."""
    return Host(
        name=socket.gethostname(),
        system=platform.platform(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=tuple(sorted(_gpu_models(nvidia))),
    )


def _gpu_models(nvidia: Path) -> list[str]:
    found: list[str] = []
    version = nvidia / "version"
    match = _DRIVER.search(version.read_text(errors="replace")) if version.exists() else None
    driver = f", driver {match[1]}" if match else ""
    for information in (nvidia / "gpus").glob("*/information"):
        lines = information.read_text(errors="replace").splitlines()
        found += [line.partition(":")[2].strip() + driver for line in lines if line.startswith("Model:")]
    return found
