"""A user's own project under test: the example pipeline in a folder of its own, in a shell without Prefect settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from walking import Road

from launch_jobs.client import connect
from launch_jobs.local.connection import Connection, remember
from launch_jobs.settings import LaunchSettings

EXAMPLE = Path(__file__).parents[2] / "examples" / "pipeline"
BIN = Path(sys.executable).parent


@dataclass
class Project:
    """A copy of the example, and the shell of the user who owns it."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str, code: int | None = 0) -> str:
        """Run a command in it to its end; what it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, "PWD": str(self.folder)},  # as a shell has it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout
        return done.stdout


def users_project(road: Road, server: Connection, folder: Path) -> Project:
    """The example's copy, whose shell knows of the server only by what `launch up` leaves in the home."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    remember(LaunchSettings(home=road.home), server)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LAUNCH_JOBS_HOME": str(road.home),
        "PREFECT_HOME": str(folder.parent / "prefect"),
        "COLUMNS": "300",
    }
    return Project(folder, environment)


@dataclass(frozen=True)
class Node:
    """One box of a flow run's graph."""

    kind: str
    id: str
    label: str
    state: str
    inside: tuple[str, ...]


async def graph_of(flow_run: UUID) -> list[Node]:
    """The boxes that the UI draws for a flow run."""
    async with connect() as client:
        answer = await client.request("GET", "/flow_runs/{id}/graph-v2", path_params={"id": flow_run})
    nodes: list[list[Any]] = json.loads(answer.text)["nodes"]  # foreign JSON
    return [
        Node(one["kind"], one["id"], one["label"], one["state_type"], tuple(box["id"] for box in one["encapsulating"]))
        for _, one in nodes
    ]
