"""From a desk to a machine of agents by the commands alone; they share the server's URL and an S3 bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from infrastructure.plugin import Bucket
from walking import Road

from launch_jobs.local.connection import Connection

pytestmark = pytest.mark.anyio

_OWN = ("LAUNCH_JOBS_HOME", "LAUNCH_JOBS_STORE", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILES_PATH")


@dataclass(frozen=True)
class Machine:
    """One machine: its home folder, which is also where its user stands."""

    folder: Path

    def launch(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command that knows of nothing but this machine's own home, and S3's credentials."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN}
        own = {"HOME": str(self.folder), "LAUNCH_JOBS_HOME": str(self.folder / "home")}
        command = [sys.executable, "-m", "launch_jobs", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env=inherited | own | environment, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended


@pytest.fixture
def machines(connected: Connection, s3: Bucket, tmp_path: Path) -> tuple[Machine, Machine]:
    """A desk and a machine of agents, each connected by `launch connect`."""
    made = Machine(tmp_path / "desk"), Machine(tmp_path / "gpu")
    for machine in made:
        machine.folder.mkdir()
        login = {"PREFECT_API_AUTH_STRING": connected.auth_string}
        machine.launch("connect", connected.api_url, "--store", s3.url, **login)
    return made


async def test_from_the_desk_to_the_machine_of_agents(road: Road, machines: tuple[Machine, Machine]) -> None:
    """Captured and submitted at the desk, executed on the other machine, its outputs fetched at the desk."""
    desk, gpu = machines
    queue = await road.queue("process")
    (desk.folder / "train.sh").write_text('echo trained > "$LAUNCH_OUTPUT_DIR/model"; pwd\n')
    submitted = desk.launch("submit", "-q", queue, "--json", "--", "sh", "train.sh")
    run = json.loads(submitted.stdout)["name"]
    gpu.launch("agent", "-q", queue, "--drain", "--allow-process")
    assert json.loads(desk.launch("show", run, "--json").stdout)["state"] == "completed"
    desk.launch("outputs", run, "fetched")
    assert (desk.folder / "fetched" / "model").read_text() == "trained\n"
    assert str(gpu.folder).encode() in desk.launch("logs", run).stdout
    held = [path for path in gpu.folder.rglob("*") if path.is_file() and os.fsencode(desk.folder) in path.read_bytes()]
    assert held == []
