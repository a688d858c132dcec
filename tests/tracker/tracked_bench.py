"""Where tests of the tracker run their programs: with it and without it, in any Python of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from launch_jobs.capture.observation import Observation, read_observations
from launch_jobs.tracker import INJECT


def interpreters() -> list[str]:
    """This Python, and one of each other version from 3.8 that pyenv has here."""
    others = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    supported = [str(path) for path in others if int(path.parts[-3].split(".")[1]) >= 8]
    return [sys.executable, *supported]


@dataclass
class Bench:
    """Runs Python programs in a folder, with or without the tracker."""

    root: Path
    journals: Path

    def run(
        self, *arguments: str, tracked: bool = True, python: str = sys.executable, path: str = ""
    ) -> tuple[int, bytes, bytes]:
        """Exit code, output and error output."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        entries = [str(INJECT)] * tracked + [path] * bool(path)
        if entries:
            environment["PYTHONPATH"] = os.pathsep.join(entries)
        environment |= {"LAUNCH_TRACK_DIR": str(self.journals), "LAUNCH_TRACK_ROOT": str(self.root)}
        done = subprocess.run(
            [python, *arguments],
            cwd=self.root,
            env=environment,
            input=b"in\n",
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def write(self, name: str, code: str) -> None:
        """Put a file into the folder."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(code)

    def seen(self) -> list[Observation]:
        """What the tracker journalled."""
        return read_observations(self.journals)
