"""The command line as a user has it: a process of its own, in a home and a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ended = subprocess.CompletedProcess[str]
Launch = Callable[..., Ended]

_FOREIGN = ("PREFECT_", "LAUNCH_", "PYTHON")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """LAUNCH_JOBS_HOME of `launch`."""
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Working folder of `launch`."""
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def launch(home: Path, folder: Path) -> Launch:
    """Run `launch` with arguments; `environment` adds to a clean one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}

    def run(*arguments: str, environment: dict[str, str] | None = None) -> Ended:
        return subprocess.run(
            [sys.executable, "-m", "launch_jobs", *arguments],
            cwd=folder,
            env={**clean, "LAUNCH_JOBS_HOME": str(home), "PREFECT_HOME": str(home), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    return run
