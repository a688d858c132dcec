"""A program with the tracker beside the same one without: elapsed time and processor time, in pairs."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.capture.interval import Interval
from launch_jobs.tracker import INJECT


class Times(NamedTuple):
    """Seconds: by the clock, and of all processors, of a program and its children."""

    elapsed: float
    processor: float


class Pairs(NamedTuple):
    """The same program with and without the tracker, some times."""

    plain: list[Times]
    tracked: list[Times]

    def added(self, kind: str) -> Interval:
        """What the tracker added, in seconds: of the pairs' differences."""
        both = zip(self.plain, self.tracked, strict=True)
        return Interval.of([getattr(after, kind) - getattr(before, kind) for before, after in both])

    def median(self, kind: str) -> float:
        """Of the program without the tracker."""
        return statistics.median(getattr(one, kind) for one in self.plain)

    def figures(self) -> dict[str, Any]:
        """For people: of each kind of time the program's own, and what was added, with its interval."""
        return {"pairs": len(self.plain), **{kind: self._figures(kind) for kind in Times._fields}}

    def _figures(self, kind: str) -> dict[str, Any]:
        plain, added = self.median(kind), self.added(kind)
        return {
            "plain_s": round(plain, 3),
            "added_ms": round(added.middle * 1000, 1),
            "interval_ms": added.times(1000).rounded(1)[1:],
            "added_percent": round(added.middle / plain * 100, 2),
        }


def measure_pairs(python: Path, program: Path, arguments: list[str], pairs: int) -> Pairs:
    """Run a program in pairs; which of the two is first alternates, so that neither has the warmer machine."""
    found = Pairs([], [])
    command = [str(python), program.name, *arguments]
    for number in range(pairs):
        for tracked in (False, True) if number % 2 else (True, False):
            (found.tracked if tracked else found.plain).append(run(command, program.parent, tracked=tracked))
    return found


def run(command: list[str], folder: Path, *, tracked: bool, given: Mapping[str, str] | None = None) -> Times:
    """Run a command in a folder to its good end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LAUNCH_"))}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **(given or {})}
    with TemporaryDirectory(prefix="launch-bench-journals-") as journals:
        if tracked:
            environment |= {"PYTHONPATH": str(INJECT), "LAUNCH_TRACK_DIR": journals, "LAUNCH_TRACK_ROOT": str(folder)}
        clock = time.monotonic()
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        elapsed = time.monotonic() - clock
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode or (tracked and not os.listdir(journals)):  # noqa: PTH208
            raise RuntimeError(f"{command} ended with {child.returncode}, or was not tracked")
    return Times(elapsed, used.ru_utime + used.ru_stime)
