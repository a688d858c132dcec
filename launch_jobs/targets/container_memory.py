"""The most memory a container had: read while it runs, because its cgroup goes with its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field

from launch_jobs.errors import LaunchError
from launch_jobs.job import JsonObject

_SHORTEST_S, _LONGEST_S = 0.1, 1.0
_REMOTE = 15
"""So many times as long between questions to an engine on another machine: each costs it some work."""

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


class _MemoryStats(BaseModel):
    max_usage: int | None = None
    usage: int | None = None


class _Stats(BaseModel):
    memory: _MemoryStats = Field(default_factory=_MemoryStats, alias="memory_stats")


def peak_in(stats: JsonObject) -> int | None:
    """What an engine's statistics say: with cgroup v1 the peak since the start, with v2 the use of this moment."""
    memory = _Stats.model_validate(stats).memory
    return memory.max_usage or memory.usage


def peak_file(container: str, pid: int) -> Path | None:
    """The file in which this host's kernel keeps the peak of a container; None: it runs on another host.

    Args:
        container: its whole id, by which a process of another host that has the same number is not taken for it.
        pid: of its first process, as the engine tells it.
    """
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if container not in path:
                continue
            one = _CGROUPS / "memory" if "memory" in controllers.split(",") else _CGROUPS
            for name in ("memory.max_usage_in_bytes", "memory.peak"):
                file = one / path.lstrip("/") / name
                if file.exists():
                    return file
    return None


async def watch_peak(file: Path | None, ask: Callable[[], Awaitable[int | None]], keep: Callable[[int], None]) -> None:
    """Read the peak again and again, once a second at least, until cancelled: what came last is missed.

    Args:
        file: of the kernel; None: there is none here.
        ask: the engine.
        keep: takes what was read.
    """
    pause = _SHORTEST_S
    while True:
        with suppress(OSError, ValueError, LaunchError):
            peak = int(file.read_text()) if file else await ask()  # noqa: ASYNC240 - the kernel answers at once
            if peak:
                keep(peak)
        await asyncio.sleep(pause if file else pause * _REMOTE)
        pause = min(_LONGEST_S, pause * 2)
