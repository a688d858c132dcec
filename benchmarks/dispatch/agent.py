"""`launch agent` with a clock on every step of every event loop; the longest of each loop go to a file, as JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from pathlib import Path

from launch_jobs.workers.agent import run_agent

_KEPT = 8


class StepClock:
    """Times what an event loop does without giving control back."""

    def __init__(self, into: Path) -> None:
        self._into = into
        self._longest: dict[str, list[tuple[float, float, str]]] = {}
        self._step = asyncio.Handle._run  # pyright: ignore[reportPrivateUsage] - there is no other place to measure it

    def install(self) -> None:
        """From now on, time every step; SIGUSR1 writes the longest and begins anew."""
        clock = self

        def timed(self: asyncio.Handle) -> None:
            begin, cpu = time.perf_counter(), time.thread_time()
            clock._step(self)
            took = time.perf_counter() - begin
            if took > 0.005:
                clock._note(took, time.thread_time() - cpu, self)

        asyncio.Handle._run = timed  # pyright: ignore[reportPrivateUsage]
        signal.signal(signal.SIGUSR1, self._asked)

    def _note(self, took: float, cpu: float, handle: asyncio.Handle) -> None:
        kept = self._longest.setdefault(threading.current_thread().name, [])
        task = getattr(handle._callback, "__self__", None)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType] - as asyncio's own debug mode does
        kept.append((took, cpu, repr(task if isinstance(task, asyncio.Task) else handle)[:400]))
        kept.sort(reverse=True)
        del kept[_KEPT:]

    def _asked(self, number: int, _: object) -> None:
        del number
        self.write()

    def write(self) -> None:
        """Write the longest steps so far, in ms."""
        steps = {
            name: [
                {"ms": round(took * 1000, 1), "cpu_ms": round(cpu * 1000, 1), "step": step} for took, cpu, step in kept
            ]
            for name, kept in self._longest.items()
        }
        self._longest = {}
        temporary = self._into.with_suffix(".new")
        temporary.write_text(json.dumps(steps))
        temporary.replace(self._into)


if __name__ == "__main__":
    StepClock(Path(sys.argv[1])).install()
    asyncio.run(run_agent(sys.argv[2:]))
