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

PROGRAMS = {"nothing": "pass\n", "imports": _IMPORTS, "train": _TRAIN}


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
