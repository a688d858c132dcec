"""`launch run` in a repository of many files, some of them changed, beside git's own commands and hashing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_STAMP = "import json, os, sys, time\njson.dump(time.time(), open(os.environ['STAMP'], 'w'))\n"
_LAUNCH = str(Path(sys.executable).parent / "launch")
_GIT = (
    "git",
    "-c",
    "user.name=Bench",
    "-c",
    "user.email=bench@example.org",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "gc.auto=0",
)


def make_repository(folder: Path, files: int, dirty: int) -> None:
    """Commit `files` source files; then change, add and delete `dirty` of them. Its remote has the commit."""
    numbers = random.Random(0)
    paths = [folder / f"part{number % 100:02}" / f"module{number:05}.py" for number in range(files - 1)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(f"value_{numbers.random()} = {numbers.random()}\n" for _ in range(60)).replace("0.", "_")
        )
    (folder / "stamp.py").write_text(_STAMP)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["gc", "-q"]):
        subprocess.run([*_GIT, *command], cwd=folder, check=True)
    subprocess.run([*_GIT, "remote", "add", "origin", "https://example.org/bench.git"], cwd=folder, check=True)
    subprocess.run([*_GIT, "update-ref", "refs/remotes/origin/main", "HEAD"], cwd=folder, check=True)
    for number, path in enumerate(numbers.sample(paths, dirty)):
        if number % 10 == 0:
            path.unlink()
        elif number % 10 == 1:
            path.with_suffix(".new.py").write_text("new = True\n")
        else:
            path.write_text(path.read_text() + "changed = True\n")


def measure_repository(folder: Path, python: Path, times: int) -> dict[str, Any]:
    """Medians: until the program starts and in all, of `launch run`; and git's own work on the same tree, in turns."""
    ours: list[dict[str, float]] = []
    base: list[dict[str, float]] = []
    startup = [_elapsed([str(python), "-c", "pass"], folder) for _ in range(times)]
    command = [_LAUNCH, "--version"]
    cli = [_elapsed(command, folder) for _ in range(times)]
    with TemporaryDirectory(prefix="launch-bench-home-") as home:
        _launch(folder, python, Path(home))  # the first one in a home also makes it
        for _ in range(times):
            (folder / "fresh.txt").write_text(str(time.time_ns()))  # a new version each time: nothing is there yet
            base.append(_git_work(folder))
            ours.append(_launch(folder, python, Path(home)))
    return {
        "times": times,
        "git": _medians(base),
        "launch_run": _medians(ours),
        "python_start_s": round(statistics.median(startup), 3),
        "command_line_start_s": round(statistics.median(cli), 3),
    }


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}


def _elapsed(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> float:
    clock = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    return time.monotonic() - clock


def _launch(folder: Path, python: Path, home: Path) -> dict[str, float]:
    stamp = home / "stamp.json"
    environment = {**os.environ, "LAUNCH_JOBS_HOME": str(home / "home"), "STAMP": str(stamp)}
    began = time.time()
    command = [_LAUNCH, "run", "--", str(python), "stamp.py"]
    total = _elapsed(command, folder, environment)
    return {"before_program_s": json.loads(stamp.read_text()) - began, "total_s": total}


def _git_work(folder: Path) -> dict[str, float]:
    """Status, diff, a checkout into an empty folder, and hashing that: what a proof of a capture must do at least."""
    steps: dict[str, float] = {}
    with TemporaryDirectory(prefix="launch-bench-out-") as out:
        steps["status_s"] = _elapsed(["git", "--no-optional-locks", "status", "--porcelain"], folder)
        steps["diff_s"] = _elapsed(["git", "--no-optional-locks", "diff", "--binary", "HEAD"], folder)
        steps["checkout_s"] = _elapsed(["git", "checkout-index", "--all", "-f", f"--prefix={out}/"], folder)
        clock = time.monotonic()
        for path in sorted(Path(out).rglob("*")):
            if path.is_file():
                hashlib.sha256(path.read_bytes()).hexdigest()
        steps["hashing_s"] = time.monotonic() - clock
    return {**steps, "total_s": sum(steps.values())}
