"""The campaign's bench: a server of its own, agents as processes, a proxy before the API, and a witness outside."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
from fault_engine import SOCKET, EngineWitness, engine_witness, remove_all
from fault_history import PROGRAM
from fault_proxy import FaultProxy, proxy_to
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from launch_jobs import crashpoints
from launch_jobs.capture.source import snapshot_source
from launch_jobs.job import Entrypoint, Job, JobVersion
from launch_jobs.local import postgres, server
from launch_jobs.local.connection import Connection
from launch_jobs.local.lifecycle import down, up
from launch_jobs.settings import LaunchSettings
from launch_jobs.store.jobs import JobStore, open_store

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SCALED_OUTAGE_S, REAL_OUTAGE_S = 18.0, 600.0
_STORE_SIZE = "64m"
_IMAGES = {"LAUNCH_JOBS_BASE_IMAGE", "LAUNCH_JOBS_CA_BUNDLE", "LAUNCH_JOBS_BUILD_NETWORK"}


@dataclass
class AgentProcess:
    """A `launch agent`, with what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def lives(self) -> bool:
        """Whether it has not ended; one that is stopped lives."""
        return self.process.poll() is None

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


@dataclass(frozen=True)
class How:
    """How an agent is started.

    Attributes:
        crash: the point at which it dies, `name[:nth]`, or is frozen, `name:nth:stop`.
        clock: how wrong its clock is, as faketime writes it.
        home: another than the bench's.
        command: another program of this Python; for the control.
        under: a command that starts it, `strace …`.
        api: what it takes for the API, `host:port`; empty: the bench's proxy.
        more: of its environment.
    """

    crash: str = ""
    clock: str = ""
    home: Path | None = None
    command: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    api: str = ""
    more: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Bench:
    """Server, store, proxies and agents.

    Attributes:
        home: of all agents.
        proxy: what agents take for the API.
        front: what submitters take for it.
        patience: factor on all times, for a machine that is busy with others' work.
        outage_s: how long servers, engines and networks are away.
        job: the witness program, as a job.
        program: its file.
        engine: what agents take for the Docker Engine.
        containers: what the engine says; None: the campaign is on process queues.
    """

    home: Path
    settings: LaunchSettings
    connection: Connection
    store: JobStore
    proxy: FaultProxy
    front: FaultProxy
    job: JobVersion
    program: Path
    engine: FaultProxy
    containers: EngineWitness | None = None
    patience: float = 1.0
    outage_s: float = SCALED_OUTAGE_S
    images: dict[str, str] = field(default_factory=dict[str, str])
    random: Random = field(default_factory=lambda: Random(0))
    agents: list[AgentProcess] = field(default_factory=list[AgentProcess])
    elsewhere: set[str] = field(default_factory=set[str])
    """Runs whose outcomes are in other stores than the bench's."""

    @property
    def is_scaled(self) -> bool:
        """Whether outages are shorter than in life."""
        return self.outage_s < REAL_OUTAGE_S

    @property
    def target(self) -> str:
        """The type of queues."""
        return "docker" if self.containers else "process"

    def environment(self, api: str | None = None, **more: str) -> dict[str, str]:
        """Of a child process that talks to the API by a proxy's address, or straight."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LAUNCH_"))}
        return {
            **inherited,
            "LAUNCH_JOBS_HOME": str(self.home),
            "PREFECT_API_URL": f"http://{api}/api" if api else self.connection.api_url,
            "PREFECT_API_AUTH_STRING": self.connection.auth_string,
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "DOCKER_HOST": f"unix://{self.engine.address}",
            **self.images,
            **more,
        }

    def agent(self, queue: str, how: How) -> AgentProcess:
        """Start an agent of this queue behind the proxy."""
        number = len(self.agents)
        log = self.home / "logs" / f"fault-agent-{number}.log"
        more = dict(how.more)
        if how.crash:
            more[crashpoints.VARIABLE] = how.crash
        if how.clock:
            more |= {"LD_PRELOAD": FAKETIME, "FAKETIME": how.clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        if how.home:
            more |= {"LAUNCH_JOBS_HOME": str(how.home), "LAUNCH_JOBS_STORE": (self.home / "store").as_uri()} | how.more
        command = (sys.executable, *(how.command or ("-m", "launch_jobs", "agent", "-q", queue)))
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*how.under, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=self.home,
                env=self.environment(how.api or self.proxy.address, **more),
            )
        self.agents.append(AgentProcess(process, log))
        return self.agents[-1]

    def stop_agents(self) -> None:
        """End all that live."""
        for agent in self.agents:
            if agent.lives:
                agent.kill()

    def kill_server(self) -> None:
        """End the Prefect server as `kill -9` does."""
        _kill(server.running(self.settings))

    def kill_database(self) -> None:
        """End PostgreSQL as `kill -9` does; it recovers when it is started again."""
        _kill(postgres.installed(self.home).running())

    def witness(self, store: JobStore) -> JobVersion:
        """The witness program, as a job of another store."""
        return _witness(self.program.parent, store)

    async def repair(self, *, clock: str = "") -> None:
        """Have server and database run again; the server by a clock that is so wrong, as faketime writes it."""
        wrong = {"LD_PRELOAD": FAKETIME, "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if clock else {}
        os.environ.update(wrong)
        try:
            await asyncio.to_thread(up, self.settings, say=lambda _: None)
        finally:
            for name in wrong:
                del os.environ[name]

    @asynccontextmanager
    async def locked(self, run: str) -> AsyncGenerator[None]:
        """Have a run's row locked, as the server's own services do for a moment: its poll passes over it."""
        async with row_locked(self.home, run):
            yield

    async def until(self, what: Callable[[], object], seconds: float) -> bool:
        """Wait until something holds; False if it did not in time."""
        deadline = time.monotonic() + seconds * self.patience
        while not what():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True


@asynccontextmanager
async def row_locked(home: Path, run: str) -> AsyncGenerator[None]:
    """Have the row of a run of this home's server locked."""
    url = await asyncio.to_thread(postgres.start, postgres.installed(home))
    database = create_async_engine(url)
    try:
        async with database.begin() as other:
            await other.execute(text("SELECT 1 FROM flow_run WHERE id = :run FOR UPDATE"), {"run": run})
            yield
    finally:
        await database.dispose()


@asynccontextmanager
async def bench(
    folder: Path, *, patience: float = 1.0, to: Connection | None = None, docker: bool = False
) -> AsyncGenerator[Bench]:
    """Bring a bench up in a folder of its own, and take everything down again.

    Args:
        folder: empty.
        patience: factor on all times.
        docker: on docker queues.
        to: a server to be used, which is never killed; None: one of its own.
    """
    home = folder / "home"
    (home / "logs").mkdir(parents=True)
    images = {name: value for name, value in os.environ.items() if name in _IMAGES}
    with _environment({"LAUNCH_JOBS_HOME": str(home), "PREFECT_PROFILES_PATH": str(home / "profiles.toml")}):
        settings = LaunchSettings(port=0)
        async with AsyncExitStack() as stack:
            connection = to or await _own_server(settings, stack)
            settings = settings.model_copy(update={"port": connection.port})
            stack.enter_context(_small_disk(home / "store"))
            store = open_store((home / "store").as_uri())
            address = f"127.0.0.1:{connection.port}"
            proxy, front = [await stack.enter_async_context(proxy_to(address)) for _ in range(2)]
            known: dict[Any, str] = {
                PREFECT_API_URL: connection.api_url,
                PREFECT_API_AUTH_STRING: connection.auth_string,
            }
            stack.enter_context(temporary_settings(known))
            code = folder / "code"
            code.mkdir()
            job = await asyncio.to_thread(_witness, code, store)
            engine = await stack.enter_async_context(proxy_to(SOCKET, str(folder / "engine.sock")))
            containers = engine_witness(folder / "events") if docker else None
            made = Bench(home, settings, connection, store, proxy, front, job, code / "witness.sh", engine, containers)
            made.patience, made.images = patience, images
            if containers:
                stack.callback(remove_all, job.job.digest, set[str]())
                stack.callback(containers.close)
            stack.callback(made.stop_agents)
            yield made


async def _own_server(settings: LaunchSettings, stack: AsyncExitStack) -> Connection:
    stack.callback(down, settings, say=lambda _: None)
    return (await asyncio.to_thread(up, settings, say=lambda _: None)).connection


def _witness(code: Path, store: JobStore) -> JobVersion:
    (code / "witness.sh").write_text(PROGRAM)
    with snapshot_source(code, store) as snapshot:
        job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=("sh", "witness.sh")))
        return store.add(f"witness-{uuid.uuid4().hex[:6]}", job, snapshot.origin)


class _environment:
    """Environment variables of this process for a while; those of other servers are out of sight."""

    def __init__(self, more: dict[str, str]) -> None:
        self._more, self._before = more, dict(os.environ)

    def __enter__(self) -> None:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "LAUNCH_JOBS_"))]:
            del os.environ[name]
        os.environ.update(self._more)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


@contextmanager
def _small_disk(folder: Path) -> Generator[None]:
    """A disk of 64 MB in a folder, where we may mount one; it can be filled."""
    folder.mkdir(exist_ok=True)
    is_mounted = mount_small(folder, _STORE_SIZE)
    try:
        yield
    finally:
        if is_mounted:
            unmount(folder)


def mount_small(folder: Path, size: str) -> bool:
    """Mount a small disk on a folder, whether we may."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def unmount(folder: Path) -> None:
    """Take it away again, even in use."""
    subprocess.run(["umount", "-l", str(folder)], check=True)
