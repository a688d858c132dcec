"""The walking road under test: a real Prefect server, real agents as processes, queues and a store of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from infrastructure.plugin import Bucket

from launch_jobs.capture.source import snapshot_source
from launch_jobs.client import connect
from launch_jobs.job import Entrypoint, Environment, Inputs, Job, JobVersion, Overrides
from launch_jobs.local.connection import Connection
from launch_jobs.queue import create_queue, delete_queue
from launch_jobs.run import RunInfo
from launch_jobs.runs import show_run
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.submission import Submission, submit

LIMIT_S = 240.0
"""Against what hangs: no promise of speed, which a machine under load could not keep."""


@dataclass
class Agent:
    """A `launch agent` process."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end of the process."""
        self.process.send_signal(number)
        self.process.wait(LIMIT_S)


@dataclass
class Road:
    """A user's machine and an agents' machine: their home folders, a store, the shared server, queues of its own.

    Attributes:
        home: of the user's machine, where jobs are captured and submitted.
        store: that both use.
        host: home of the agents' machine; None: agents run on the user's own.
    """

    home: Path
    store: JobStore
    host: Path | None = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    agents: list[Agent] = field(default_factory=list[Agent])
    queues: list[str] = field(default_factory=list[str])
    jobs: list[str] = field(default_factory=list[str])

    def job(
        self,
        script: str,
        name: str | None = None,
        inputs: Inputs | None = None,
        environment: Environment | None = None,
    ) -> JobVersion:
        """A job that runs a shell script; its default name is this machine's own, for the server is shared."""
        folder = self.home / "code" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text(script)
        with snapshot_source(folder, self.store) as snapshot:
            job = Job(
                source=snapshot.source,
                entrypoint=Entrypoint(argv=("sh", "run.sh")),
                environment=environment or Environment(),
                inputs=inputs or Inputs(),
            )
            self.jobs.append(job.digest)
            return self.store.add(name or f"script-{self.mark}", job, snapshot.origin)

    async def queue(self, queue_type: str, **options: int) -> str:
        """A new queue of the test's own."""
        name = f"{queue_type}-{uuid.uuid4().hex[:8]}"
        await create_queue(name, queue_type, limit=options.get("limit"))
        self.queues.append(name)
        return name

    def agent(self, *arguments: str) -> Agent:
        """Start an agent on the agents' machine, which knows nothing of the user's."""
        home = self.host or self.home
        log = home / f"agent-{len(self.agents)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "launch_jobs", "agent", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LAUNCH_JOBS_HOME": str(home), **({"HOME": str(home)} if self.host else {})},
                cwd=home,
            )
        self.agents.append(Agent(process, log))
        return self.agents[-1]

    async def submit(self, version: JobVersion, queue: str, **overrides: object) -> str:
        """Submit a run; its id."""
        submission = Submission(job=version.reference, queue=queue, overrides=Overrides.of(**overrides))
        return str((await submit(submission, self.store)).id)

    async def until(self, run: str, what: Callable[[RunInfo], object]) -> RunInfo:
        """Wait until something holds of a run."""
        begun = time.monotonic()
        async with connect():  # one client for all looks: to make one costs as much as to look
            while not what(info := await show_run(run, self.store)):
                await self._wait(begun, f"still {info.state} ({info.reason})")
        return info

    async def until_true(self, what: Callable[[], object]) -> None:
        """Wait until something holds."""
        begun = time.monotonic()
        while not what():
            await self._wait(begun, "it never held")

    async def _wait(self, begun: float, said: str) -> None:
        """Wait a tenth of what was waited so far: a look costs a tenth of a second of CPU, here and on the server."""
        waited = time.monotonic() - begun
        assert waited < LIMIT_S, f"{said}; agents said: {self.agents_said()}"
        await asyncio.sleep(min(0.5, 0.1 + waited / 10))

    async def end(self, run: str) -> RunInfo:
        """Wait until a run is over."""
        return await self.until(run, lambda info: info.state.is_final)

    def agents_said(self) -> str:
        """The tail of every agent's log."""
        return "\n".join(agent.log.read_text()[-3000:] for agent in self.agents)


@pytest.fixture
def settings_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(home))
    return home


@asynccontextmanager
async def walked(road: Road) -> AsyncGenerator[Road]:
    """End the road's agents and delete its queues after the test."""
    yield road
    for agent in road.agents:
        if agent.process.poll() is None:
            agent.stop(signal.SIGKILL)
    for queue in road.queues:
        await delete_queue(queue)


@pytest.fixture
async def road(connected: Connection, settings_here: Path) -> AsyncGenerator[Road]:
    """One machine; its agents and queues are gone after the test."""
    del connected
    async with walked(Road(settings_here, open_store((settings_here / "store").as_uri()))) as road:
        yield road


@pytest.fixture
async def two_machines(
    connected: Connection, settings_here: Path, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Road]:
    """A user's machine and an agents' machine that share the server's URL and an S3 bucket, and nothing else."""
    del connected
    host = tmp_path / "host"
    host.mkdir()
    monkeypatch.setenv("LAUNCH_JOBS_STORE", s3.url)
    async with walked(Road(settings_here, open_store(s3.url), host)) as road:
        yield road
        _share_nothing(settings_here, host)


def _share_nothing(desk: Path, host: Path) -> None:
    """No file of one machine names a folder of the other."""
    for here, there in ((desk, host), (host, desk)):
        for path in here.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert os.fsencode(there) not in path.read_bytes(), f"{path} knows of {there}"
