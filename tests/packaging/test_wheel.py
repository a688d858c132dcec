"""The wheel, as a user has it: built, looked into, and installed alone into an environment in which it then works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from infrastructure.plugin import missing

ROOT = Path(__file__).parents[2]
UV = (sys.executable, "-m", "uv")

TRAIN = """\
import argparse, json, os, pathlib
import flows.mine
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
lr = parser.parse_args().lr
print("trained with", lr, "by", flows.mine.WHO)
pathlib.Path(os.environ.get("LAUNCH_OUTPUT_DIR", "."), "metrics.json").write_text(json.dumps({"loss": lr}))
"""

_FOREIGN = ("PREFECT_", "LAUNCH_", "PYTHON", "VIRTUAL_ENV", "COV_")
_OFFLINE = ("error sending request", "dns error", "Failed to fetch", "operation timed out")

pytestmark = pytest.mark.timeout(300)


def _uv(*arguments: str | Path) -> None:
    """Run uv; without a package index the tests are skipped, and fail in CI."""
    done = subprocess.run([*UV, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in _OFFLINE):
        missing("a package index (or uv's cache of all packages in uv.lock)")
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Machine:
    """A user's machine that has nothing of ours but the wheel.

    Attributes:
        bin: programs of its environment.
        work: the user's folder, with a package `flows` of his own.
        home: LAUNCH_JOBS_HOME.
    """

    bin: Path
    work: Path
    home: Path

    def run(self, program: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the user's folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {
            "LAUNCH_JOBS_HOME": str(self.home),
            "LAUNCH_JOBS_PORT": "0",
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=folder or self.work,
            env=clean | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def launch(self, *arguments: str) -> str:
        """Run a `launch` command that succeeds; what it prints."""
        ended = self.run("launch", *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("dist")
    _uv("build", "--wheel", "--quiet", "--out-dir", folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The wheel, with the versions of uv.lock for what it needs, in an environment of its own."""
    folder = tmp_path_factory.mktemp("machine")
    locked, environment = folder / "locked.txt", folder / "venv"
    _uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet", "--output-file", locked)
    _uv("venv", "--quiet", "--python", sys.executable, environment)
    _uv("pip", "install", "--quiet", "--python", environment / "bin" / "python", wheel, "--constraint", locked)
    made = Machine(environment / "bin", folder / "work", folder / "home")
    (made.work / "flows").mkdir(parents=True)
    (made.work / "flows" / "__init__.py").touch()
    (made.work / "flows" / "mine.py").write_text("WHO = 'me'\n")
    (made.work / "train.py").write_text(TRAIN)
    yield made
    made.run("launch", "down", "--cancel")


def _tops(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return {PurePosixPath(name).parts[0] for name in opened.namelist()}


def test_its_only_import_name_is_launch_jobs(wheel: Path) -> None:
    """Nothing of the wheel lands beside `launch_jobs`, where it could hide a user's own package."""
    assert {name for name in _tops(wheel) if not name.endswith(".dist-info")} == {"launch_jobs"}


def test_it_holds_the_library_and_the_prefect_project(wheel: Path) -> None:
    """Every file of the package is in it, and flows, blocks and prefect.yaml as data below `launch_jobs/_project`."""
    folders = {
        "launch_jobs": "launch_jobs",
        "flows": "launch_jobs/_project/flows",
        "blocks": "launch_jobs/_project/blocks",
    }
    wanted = {"launch_jobs/_project/prefect.yaml": (ROOT / "prefect.yaml").read_bytes()}
    for folder, place in folders.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                wanted[f"{place}/{path.relative_to(ROOT / folder).as_posix()}"] = path.read_bytes()
    with zipfile.ZipFile(wheel) as opened:
        held = {name: opened.read(name) for name in opened.namelist() if name.startswith("launch_jobs/")}
    assert held.keys() == wanted.keys()
    assert held == wanted


def test_flows_is_the_users_own_or_nothing(machine: Machine, tmp_path: Path) -> None:
    """With the whole API loaded `import flows` finds the user's package; in another folder, none."""
    code = "import launch_jobs.api, launch_jobs.workers, flows.mine; print(flows.__file__)"
    found = machine.run("python", "-c", code)
    assert found.stdout.strip() == str(machine.work / "flows" / "__init__.py"), found.stderr
    elsewhere = machine.run("python", "-c", code, folder=tmp_path)
    assert "No module named 'flows'" in elsewhere.stderr


def test_up_run_submit_and_down_from_the_wheel_alone(machine: Machine) -> None:
    """In an environment with nothing but the wheel the first steps work, beside a `flows` package of the user's."""
    said = json.loads(machine.launch("up", "--json"))
    assert "process" in said["queues"]
    captured = machine.launch("run", "--name", "train", "--", "python", "train.py")
    assert captured == "trained with 0.1 by me\n"
    run = json.loads(machine.launch("submit", "train", "-q", "process", "-p", "lr=0.5", "--watch", "--json"))
    assert (run["state"], run["metrics"]) == ("completed", {"loss": 0.5})
    assert machine.launch("logs", run["id"]) == "trained with 0.5 by me\n"
    assert json.loads(machine.launch("down", "--json")) == {"stopped": True}
