"""The machine that we are on."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

from launch_jobs.job import Host


def this_host() -> Host:
    """Name, system, processors that we may use, memory, and GPUs (NVIDIA, Linux) of this machine."""
    return Host(
        name=socket.gethostname(),
        system=platform.platform(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=tuple(sorted(_gpu_models())),
    )


def _gpu_models() -> list[str]:
    found: list[str] = []
    for information in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        lines = information.read_text(errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return found
