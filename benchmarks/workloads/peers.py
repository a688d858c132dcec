"""Those who are compared: ours on a process queue, a stock Prefect process worker, task-spooler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

import psutil
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

from benchmarks.serving import serving
from benchmarks.stage import Stage
from launch_jobs.capture.source import snapshot_source
from launch_jobs.job import Entrypoint, Job, Overrides
from launch_jobs.queue import create_queue
from launch_jobs.store.jobs import open_store
from launch_jobs.submission import Submission, submit

if TYPE_CHECKING:
    from benchmarks.watching import Watcher
    from launch_jobs.job import JobVersion

HERE = Path(__file__).parent
PRIORITIES = ("high", "medium", "low")


class Agent(Protocol):
    """Who works off a queue."""

    def kill(self) -> object:
        """End it as `kill -9` does."""
        ...


class Peer(Protocol):
    """A queue of jobs, with who works it off.

    Attributes:
        name: as in the results.
        has_priorities: whether a job can have one.
    """

    name: str
    has_priorities: bool

    async def make(self) -> None:
        """Make a queue of its own."""
        ...

    async def submit(self, words: list[str], priority: str = "medium") -> str:
        """Enqueue `sh work.sh WORD…`; its id."""
        ...

    def served(self, slots: int) -> AbstractContextManager[Agent]:
        """Have so many jobs at once worked off for a while."""
        ...

    async def ended(self, jobs: list[str]) -> dict[str, bool]:
        """Of the jobs that it says are over: whether it says that they ended well."""
        ...


@dataclass
class Ours:
    """Launch Jobs on a process queue."""

    stage: Stage
    seen: Watcher
    name: str = "Launch Jobs"
    has_priorities: bool = True
    queue: str = ""

    async def make(self) -> None:
        """A launch queue, and a captured job."""
        self.queue = self.stage.queue(f"work-{uuid4().hex[:6]}")
        self._store = open_store(self.stage.settings.store_url)
        self._version = self.captured("work", ("sh", "work.sh"))
        await create_queue(self.queue, "process")

    def captured(self, name: str, argv: tuple[str, ...]) -> JobVersion:
        """A program of this folder as a job."""
        folder = self.stage.settings.home / f"source-{name}"
        folder.mkdir(exist_ok=True)
        (folder / argv[-1]).write_bytes((HERE / argv[-1]).read_bytes())
        with snapshot_source(folder, self._store) as snapshot:
            job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=argv))
            return self._store.add(name, job, snapshot.origin)

    async def submit(self, words: list[str], priority: str = "medium") -> str:
        """As `launch submit` does."""
        asked = Submission(
            job=self._version.reference,
            queue=self.queue,
            overrides=Overrides(args=tuple(words)),
            priority=priority,
        )
        return str((await submit(asked, self._store)).id)

    @contextmanager
    def served(self, slots: int) -> Generator[Agent]:
        """`launch agent`."""
        argv = [sys.executable, "-m", "launch_jobs", "agent", "-q", self.queue, "--max-jobs", str(slots)]
        with serving(argv, self.stage.settings.home / f"{self.queue}.log", self.stage.environment) as agent:
            yield agent

    async def ended(self, jobs: list[str]) -> dict[str, bool]:
        """What the server says."""
        return await _ended(self.seen, jobs)


@dataclass
class Stock:
    """A stock Prefect process worker, polling every second."""

    stage: Stage
    seen: Watcher
    name: str = "stock Prefect process worker, polling every second"
    has_priorities: bool = True
    pool: str = ""

    async def make(self) -> None:
        """A pool with a queue for each priority, and a deployment."""
        self.pool = self.stage.queue(f"work-{uuid4().hex[:6]}")
        template = ProcessWorker.get_default_base_job_template()
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name=self.pool, type="process", base_job_template=template))
            for number, name in enumerate(PRIORITIES, 1):
                await client.create_work_queue(name=name, priority=number, work_pool_name=self.pool)
        self._deployment = await self.deployed("work")

    async def deployed(self, flow: str) -> UUID:
        """A deployment of a flow of `work_flow.py`."""
        async with get_client() as client:
            return await client.create_deployment(
                flow_id=await client.create_flow_from_name(flow),
                name=self.pool,
                work_pool_name=self.pool,
                entrypoint=f"work_flow.py:{flow}",
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(HERE)}}],
                enforce_parameter_schema=False,
            )

    async def submit(self, words: list[str], priority: str = "medium") -> str:
        """As Prefect's client does."""
        given = {"words": [str(HERE / "work.sh"), *words]}
        async with get_client() as client:
            run = await client.create_flow_run_from_deployment(
                self._deployment, parameters=given, work_queue_name=priority
            )
        return str(run.id)

    @contextmanager
    def served(self, slots: int) -> Generator[Agent]:
        """`prefect worker start`."""
        prefect = str(Path(sys.executable).parent / "prefect")
        argv = [prefect, "worker", "start", "--pool", self.pool, "--type", "process", "--limit", str(slots)]
        environment = self.stage.environment | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
        with serving(argv, self.stage.settings.home / f"{self.pool}.log", environment) as agent:
            yield agent

    async def ended(self, jobs: list[str]) -> dict[str, bool]:
        """What the server says."""
        return await _ended(self.seen, jobs)


@dataclass
class TaskSpooler:
    """task-spooler of Debian: a queue of one user on one machine, in the memory of one process."""

    stage: Stage
    program: str
    name: str = "task-spooler"
    has_priorities: bool = False

    async def make(self) -> None:
        """A socket and a folder of its own: that is a queue."""
        folder = self.stage.settings.home / f"tsp-{uuid4().hex[:6]}"
        folder.mkdir()
        self._environment = os.environ | {"TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder)}
        self._environment |= {"TS_MAXFINISHED": "1000"}

    async def submit(self, words: list[str], priority: str = "medium") -> str:
        """As its command line does."""
        return self._tsp("sh", str(HERE / "work.sh"), *words)

    @contextmanager
    def served(self, slots: int) -> Generator[Agent]:
        """Its server: queue and agent in one."""
        # Its server keeps the output that it was started with: a pipe would never end.
        command, quiet = [self.program, "-S", str(slots)], subprocess.DEVNULL
        subprocess.run(command, env=self._environment, check=True, stdout=quiet, stderr=quiet)
        try:
            yield self
        finally:
            self.kill()

    def kill(self) -> None:
        """End its server."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_mine = process.environ().get("TS_SOCKET") == self._environment["TS_SOCKET"]
                if is_mine and process.name() == "tsp":
                    process.kill()

    async def ended(self, jobs: list[str]) -> dict[str, bool]:
        """What `tsp -l` says: id, state, output, exit code."""
        rows = [line.split() for line in self._tsp("-l").splitlines()[1:]]
        return {row[0]: row[3] == "0" for row in rows if row[1] == "finished" and row[0] in jobs}

    def _tsp(self, *words: str) -> str:
        command = [self.program, *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True).stdout.strip()


def task_spooler(folder: Path) -> str | None:
    """The program: this machine's, or Debian's, unpacked into a folder; None: neither is to be had."""
    if found := shutil.which("tsp"):
        return found
    folder.mkdir(exist_ok=True)
    got = subprocess.run(["apt-get", "download", "-q", "task-spooler"], cwd=folder, capture_output=True, check=False)
    packages = [str(path) for path in folder.glob("*.deb")]
    if got.returncode or not packages:
        return None
    subprocess.run(["dpkg", "-x", packages[0], str(folder)], check=True)
    return str(folder / "usr/bin/tsp")


async def _ended(seen: Watcher, jobs: list[str]) -> dict[str, bool]:
    states = await seen.states([UUID(job) for job in jobs])
    over = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    return {str(run): state == "COMPLETED" for run, state in states.items() if state in over}
