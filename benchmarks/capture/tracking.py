"""A program with the tracker beside the same one without: elapsed time and processor time, in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from launch_jobs.tracker import INJECT


def measure_tracking(python: Path, program: Path, arguments: list[str], times: int) -> dict[str, Any]:
    """Medians of `times` pairs; each pair is run in both orders in turn, so that neither has the warmer machine."""
    plain: list[tuple[float, float]] = []
    tracked: list[tuple[float, float]] = []
    command = [str(python), program.name, *arguments]
    for number in range(times):
        for with_tracker in (False, True) if number % 2 else (True, False):
            (tracked if with_tracker else plain).append(_run(command, program.parent, with_tracker))
    elapsed = _figures([one[0] for one in plain], [one[0] for one in tracked])
    processor = _figures([one[1] for one in plain], [one[1] for one in tracked])
    return {"times": times, "elapsed": elapsed, "processor": processor}


def _figures(plain: list[float], tracked: list[float]) -> dict[str, float]:
    """Of the pairs' differences the median; of noise that others make on the machine, it keeps the least."""
    added = statistics.median(after - before for before, after in zip(plain, tracked, strict=True))
    before = statistics.median(plain)
    return {
        "plain_s": round(before, 3),
        "tracked_s": round(statistics.median(tracked), 3),
        "added_ms": round(added * 1000, 1),
        "added_percent": round(added / before * 100, 2),
    }


def _run(command: list[str], folder: Path, with_tracker: bool) -> tuple[float, float]:
    """Elapsed seconds, and processor seconds of the program and its children."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LAUNCH_"))}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with TemporaryDirectory(prefix="launch-bench-journals-") as journals:
        if with_tracker:
            environment |= {"PYTHONPATH": str(INJECT), "LAUNCH_TRACK_DIR": journals, "LAUNCH_TRACK_ROOT": str(folder)}
        clock = time.monotonic()
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        elapsed = time.monotonic() - clock
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode or (with_tracker and not os.listdir(journals)):  # noqa: PTH208
            raise RuntimeError(f"{command} ended with {child.returncode}, or was not tracked")
    return elapsed, used.ru_utime + used.ru_stime
