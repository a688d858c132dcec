"""What benchmarks of agents stand on: a Prefect server of their own, a counting relay, an image with Prefect."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from launch_jobs.local import postgres, server
from launch_jobs.local.connection import Connection, client_environment, embedded, password, remember
from launch_jobs.local.lifecycle import down, up
from launch_jobs.settings import LaunchSettings

BASE_IMAGE = os.environ.get("LAUNCH_JOBS_BASE_IMAGE", "launch-jobs-base:bookworm")
STOCK_IMAGE = f"launch-jobs-bench/prefect:{importlib.metadata.version('prefect')}"
IMAGE_FOLDER = Path(__file__).parent / "image"
"""What the stock worker's image is made of, flows included; mounted over the image's, it is what is here now."""

OUR_LABELS = "org.launch-jobs.queue", "org.launch-jobs.run"
STOCK_LABELS = "io.prefect.work-pool-name", "io.prefect.flow-run-id"
"""Labels of containers: the queue's name, and the run's id."""


@dataclass(frozen=True)
class Relay:
    """Where clients or agents reach the server, counted.

    Attributes:
        port: on loopback.
    """

    port: int

    @property
    def api_url(self) -> str:
        """For PREFECT_API_URL."""
        return self.api_url_at("127.0.0.1")

    def api_url_at(self, host: str) -> str:
        """The same at another address on which it listens."""
        return f"http://{host}:{self.port}/api"

    def counts(self) -> dict[str, int]:
        """Requests since the last call, by method and path."""
        return self._ask("/__counts")

    def answers(self) -> dict[str, int]:
        """The server's answers since the last call, by status."""
        return self._ask("/__answers")

    def _ask(self, path: str) -> dict[str, int]:
        call = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        call.request("GET", path)
        counts: dict[str, int] = json.loads(call.getresponse().read())
        call.close()
        return counts


@dataclass(frozen=True)
class Stage:
    """The server and what is around it.

    Attributes:
        settings: of the benchmark's own home.
        connection: to the server itself.
        database: URL of the server's database.
        relay: where clients and agents reach the server, unless they have another one.
        token: ends the names of all queues, so that two benchmarks leave each other's containers alone.
        environment: of agents.
    """

    settings: LaunchSettings
    connection: Connection
    database: str
    relay: Relay
    token: str
    environment: dict[str, str] = field(repr=False)

    def queue(self, name: str) -> str:
        """Name of a queue of this stage alone."""
        return f"bench-{name}-{self.token}"

    def counts(self) -> dict[str, int]:
        """Requests since the last call, by method and path."""
        return self.relay.counts()

    @contextmanager
    def another_relay(self, port: int | None = None) -> Generator[Relay]:
        """A relay for one who is counted alone; before another server if its port is given."""
        with ExitStack() as stack:
            yield _start_relay(stack, port or self.connection.port)

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
def staged(*, sqlite: bool = False, host: str | None = None) -> Generator[Stage]:
    """Bring everything up; whatever happens, nothing of it is left.

    Args:
        sqlite: the server's database is what it is where no PostgreSQL fits.
        host: an address of this machine on which the relay listens, too.
    """
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
        to, database = _up_on_sqlite(settings) if sqlite else _up(settings)
        relay = _start_relay(stack, to.port, host)
        os.environ |= client_environment(to)
        os.environ["PREFECT_API_URL"] = relay.api_url
        token = uuid.uuid4().hex[:8]
        stack.callback(_remove_containers, token)
        yield Stage(settings, to, database, relay, token, dict(os.environ))


def _up(settings: LaunchSettings) -> tuple[Connection, str]:
    to = up(settings, say=_quiet).connection
    return to, postgres.start(postgres.installed(settings.home))


def _up_on_sqlite(settings: LaunchSettings) -> tuple[Connection, str]:
    """The server as `launch up` starts it where no PostgreSQL fits."""
    for folder in (server.folder(settings), server.log(settings).parent):
        folder.mkdir(parents=True)
    to = embedded(server.choose_port(settings, None), password(settings))
    database = f"sqlite+aiosqlite:///{server.folder(settings)}/prefect.db"
    server.launch(settings, to, database)
    server.wait(settings, to)
    remember(settings, to)
    return to, database


def _start_relay(stack: ExitStack, port: int, host: str | None = None) -> Relay:
    argv = [sys.executable, "-m", "benchmarks.counting", str(port), *([host] if host else [])]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout
    return Relay(int(process.stdout.readline()))


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
    command = ["docker", "build", "--network", network, *words, "-t", STOCK_IMAGE, str(IMAGE_FOLDER)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _remove_containers(token: str) -> None:
    """What a broken run left in the engine."""
    labels = " ".join(f'{{{{.Label "{name}"}}}}' for name in (OUR_LABELS[0], STOCK_LABELS[0]))
    command = ["docker", "ps", "-a", "--format", "{{.ID}} " + labels]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    if names := [line.split()[0] for line in listed if line.rstrip().endswith(token)]:
        subprocess.run(["docker", "rm", "-f", *names], capture_output=True, check=False)
