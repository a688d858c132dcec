"""`launch run` in a repository of many files, some of them changed, beside git's own commands and hashing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.capture.interval import Interval

# Tells when it began, and what processor time its parent and the children of that have used (those in clock ticks).
_STAMP = """
import json, os, signal, time
now, parent = time.time(), os.getppid()
used = time.clock_gettime((~parent << 3) | 2)
ticks = open(f"/proc/{parent}/stat").read().rpartition(")")[2].split()[13:15]
processor = used + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
with open(os.environ["STAMP"], "w") as file:
    json.dump({"time": now, "processor": processor}, file)
os.kill(parent, signal.SIGKILL)
"""
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


def measure_repository(folder: Path, python: Path, times: int, starts: int) -> dict[str, Any]:
    """`launch run` until the program starts (`starts` times) and in all, beside git's own work on the same tree."""
    startup = [_elapsed([str(python), "-c", "pass"], folder) for _ in range(starts)]
    cli = [_elapsed([_LAUNCH, "--version"], folder) for _ in range(starts)]
    ours: list[float] = []
    base: list[dict[str, float]] = []
    before: list[dict[str, float]] = []
    with TemporaryDirectory(prefix="launch-bench-home-") as home:
        _launch(folder, python, Path(home))  # the first one in a home also makes it
        for _ in range(times):
            (folder / "fresh.txt").write_text(str(time.time_ns()))  # a new version each time: nothing is there yet
            base.append(_git_work(folder))
            ours.append(_launch(folder, python, Path(home)))
        for _ in range(starts):
            (folder / "fresh.txt").write_text(str(time.time_ns()))
            before.append(_before_program(folder, python, Path(home)))
    own = statistics.median(startup)
    return {
        "times": times,
        "starts": starts,
        "git": {name: round(statistics.median(one[name] for one in base), 3) for name in base[0]},
        "total_s": round(statistics.median(ours), 3),
        "ratio": Interval.of([one / git["total_s"] for one, git in zip(ours, base, strict=True)]),
        "before_s": Interval.of([one["elapsed_s"] - own for one in before]),
        "before_processor_s": Interval.of([one["processor_s"] for one in before]),
        "python_start_s": round(own, 3),
        "command_line_start_s": round(statistics.median(cli), 3),
    }


def _elapsed(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> float:
    clock = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    return time.monotonic() - clock


def _launch(folder: Path, python: Path, home: Path) -> float:
    return _elapsed([_LAUNCH, "run", "--", str(python), "-c", "pass"], folder, _environment(home))


def _before_program(folder: Path, python: Path, home: Path) -> dict[str, float]:
    """Until the program's first line; that ends `launch run`, whose capture would take seconds more."""
    stamp, scratch = home / "stamp.json", home / "scratch"
    scratch.mkdir()
    began = time.time()
    command = [_LAUNCH, "run", "--", str(python), "stamp.py"]
    given = {**_environment(home), "STAMP": str(stamp), "TMPDIR": str(scratch)}
    done = subprocess.run(command, cwd=folder, env=given, check=False, capture_output=True, text=True)
    if not stamp.exists():
        raise RuntimeError(f"{command} did not start the program: {done.stderr}")
    said = json.loads(stamp.read_text())
    stamp.unlink()
    shutil.rmtree(scratch)  # what the killed one left
    return {"elapsed_s": said["time"] - began, "processor_s": said["processor"]}


def _environment(home: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCH_", "PYTHON"))}
    return {**ours, "LAUNCH_JOBS_HOME": str(home / "home")}


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
