"""What all contenders stand on: one Prefect server of the benchmark's own, a counting relay, an image with Prefect."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from launch_jobs.local import postgres, server
from launch_jobs.local.connection import client_environment
from launch_jobs.local.lifecycle import down, up
from launch_jobs.settings import LaunchSettings

BASE_IMAGE = os.environ.get("LAUNCH_JOBS_BASE_IMAGE", "launch-jobs-base:bookworm")
STOCK_IMAGE = f"launch-jobs-bench/prefect:{importlib.metadata.version('prefect')}"


@dataclass(frozen=True)
class Stage:
    """The server and what is around it.

    Attributes:
        settings: of the benchmark's own home.
        database: URL of the server's database.
        relay_port: where clients and agents reach the server, counted.
        environment: of agents.
    """

    settings: LaunchSettings
    database: str
    relay_port: int
    environment: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Requests since the last call, by method and path."""
        call = http.client.HTTPConnection("127.0.0.1", self.relay_port, timeout=10)
        call.request("GET", "/__counts")
        counts: dict[str, int] = json.loads(call.getresponse().read())
        call.close()
        return counts

    def server_cpu_s(self) -> float:
        """CPU seconds that Prefect server and PostgreSQL have used so far, ended children included."""
        return sum(cpu_s(process) for process in self._server_processes())

    def _server_processes(self) -> list[psutil.Process]:
        found = [*server.running(self.settings), *postgres.installed(self.settings.home).running()]
        return list({process.pid: process for parent in found for process in [parent, *_children(parent)]}.values())


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds a process and its ended children have used so far."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def staged() -> Generator[Stage]:
    """Bring everything up; whatever happens, nothing of it is left."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="lj-bench-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        # Nothing of the developer's own Prefect or Launch settings takes part.
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        own = {"PREFECT_PROFILES_PATH": str(home / "profiles.toml"), "PREFECT_HOME": str(home / "client")}
        os.environ |= own | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
        os.environ |= {"LAUNCH_JOBS_HOME": str(home)}
        settings = LaunchSettings(home=home, port=0)
        stack.callback(down, settings, say=_quiet)
        to = up(settings, say=_quiet).connection
        relay = _start(stack, [sys.executable, "-m", "benchmarks.dispatch.counting", str(to.port)])
        os.environ |= client_environment(to)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{relay}/api"
        stack.callback(_remove_containers)
        database = postgres.start(postgres.installed(home))
        yield Stage(settings, database, relay, dict(os.environ))


def _start(stack: ExitStack, argv: list[str]) -> int:
    """Start the relay; its port."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout
    return int(process.stdout.readline())


def _quiet(line: str) -> None:
    print(line, file=sys.stderr)


def ensure_stock_image() -> None:
    """Build the stock worker's image once; it stays in the engine (`docker rmi` it by its name)."""
    if subprocess.run(["docker", "image", "inspect", STOCK_IMAGE], capture_output=True, check=False).returncode == 0:
        return
    _quiet(f"Building {STOCK_IMAGE}")
    arguments = {
        "BASE": BASE_IMAGE,
        "PREFECT": importlib.metadata.version("prefect"),
        "FASTAPI": importlib.metadata.version("fastapi"),
    }
    words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    network = os.environ.get("LAUNCH_JOBS_BUILD_NETWORK", "default")
    folder = str(Path(__file__).parent / "image")
    command = ["docker", "build", "--network", network, *words, "-t", STOCK_IMAGE, folder]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _remove_containers() -> None:
    """Containers that a broken run left: those of the stock image, and those of our queue."""
    for kind in (f"ancestor={STOCK_IMAGE}", "label=org.launch-jobs.queue=bench-ours"):
        listed = subprocess.run(["docker", "ps", "-aq", "--filter", kind], capture_output=True, text=True, check=False)
        if names := listed.stdout.split():
            subprocess.run(["docker", "rm", "-f", *names], capture_output=True, check=False)
