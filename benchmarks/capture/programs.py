"""The programs that are run with and without the tracker, and a user's environment to run them in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_PACKAGES = ("numpy", "pandas", "scikit-learn")

_IMPORTS = """
import argparse
import numpy, pandas, sklearn.ensemble, sklearn.linear_model, sklearn.model_selection
"""

_TRAIN = (
    _IMPORTS
    + """
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=20)
rounds = parser.parse_args().rounds
random = numpy.random.default_rng(0)
frame = pandas.DataFrame(random.normal(size=(2000, 20)))
frame["y"] = (frame[0] * frame[1] > 0).astype(int)
for number in range(rounds):
    frame.to_csv("frame.csv", index=False)
    frame = pandas.read_csv("frame.csv")
    forest = sklearn.ensemble.RandomForestClassifier(20, random_state=number)
    forest.fit(frame.drop(columns="y"), frame["y"])
    for step in range(200):  # what data loaders and loggers do all the time
        with open(f"step-{step}.txt", "w") as file:
            file.write(str(number))
        open(f"step-{step}.txt").close()
"""
)

# Counts the audit events of another program: `open` of a path seen before, of a new one, and all others.
_COUNT = """
import atexit, json, os, runpy, sys
counts, seen = {"known_open": 0, "new_open": 0, "other": 0}, set()
def hook(event, args, counts=counts, seen=seen):
    if event == "open":
        known = (args[0], bool(args[2] & 3)) in seen
        seen.add((args[0], bool(args[2] & 3)))
        counts["known_open" if known else "new_open"] += 1
    else:
        counts["other"] += 1
def tell(path=os.environ["COUNTS"], dump=json.dump, file=open):
    dump(dict(counts), file(path, "w"))
sys.argv = sys.argv[1:]
atexit.register(tell)
sys.addaudithook(hook)
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Processor time of one event of each kind, in nanoseconds; the least of some goes, which others disturbed least.
_COST = """
import json, os, time
def cost(work, count, goes):
    found = []
    for go in range(goes):
        begun = time.process_time_ns()
        work(count, go)
        found.append((time.process_time_ns() - begun) / count)
    return min(found)
def other(count, _go):
    for _ in range(count):
        id(count)
def known_open(count, _go):
    for _ in range(count):
        os.close(os.open("known.txt", os.O_RDONLY))
def new_open(count, go):
    for number in range(count):
        os.close(os.open("new-%d-%d" % (go, number), os.O_RDONLY))
open("known.txt", "w").close()
for go in range(5):
    for number in range(400):
        os.symlink("known.txt", "new-%d-%d" % (go, number))
costs = {"other": cost(other, 100000, 9), "known_open": cost(known_open, 10000, 9), "new_open": cost(new_open, 400, 5)}
for name in os.listdir():
    if name.startswith("new-"):
        os.unlink(name)
json.dump(costs, open(os.environ["COSTS"], "w"))
"""

PROGRAMS = {"nothing": "pass\n", "imports": _IMPORTS, "train": _TRAIN, "count": _COUNT, "cost": _COST}


@contextmanager
def stage() -> Generator[tuple[Path, Path]]:
    """A folder with the programs, and the Python of a fresh environment that has what they import."""
    with TemporaryDirectory(prefix="launch-bench-capture-") as name:
        folder = Path(name)
        (folder / "project").mkdir()
        for program, code in PROGRAMS.items():
            (folder / "project" / f"{program}.py").write_text(code)
        uv = Path(sys.executable).parent / "uv"
        python = folder / "venv" / "bin" / "python"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *_PACKAGES], check=True)
        yield folder, python
