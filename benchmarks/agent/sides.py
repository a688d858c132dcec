"""The two who are compared: ours and a stock prefect-docker worker, each with a queue of its own for each part."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.objects import State, StateType

from benchmarks.stage import IMAGE_FOLDER, OUR_LABELS, STOCK_LABELS, Stage
from benchmarks.stock import stock_deployment, stock_worker
from launch_jobs.capture.source import snapshot_source
from launch_jobs.job import Entrypoint, Environment, Job, JobVersion, Overrides
from launch_jobs.queue import create_queue
from launch_jobs.runs import cancel_run
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.submission import Submission, submit

if TYPE_CHECKING:
    from benchmarks.watching import Watcher

Program = Literal["quick", "hold", "stubborn"]
_AT_ONCE = 10
_START_S = 300.0


@dataclass(frozen=True)
class Side:
    """One of the two, on a queue.

    Attributes:
        name: ours or stock.
        queue: its launch queue or work pool.
        agent: its agent's command.
        submit: enqueues a run of a program, which ends with the given code once it is let go.
        let_go: ends the held programs in these containers as they like to end.
        cancel: asks for a run's end, as its command line does.
        queue_label: label of containers that has the queue's name.
        run_label: the same with the run's id.
        client: what `client.py` is told to submit here.
    """

    name: str
    queue: str
    agent: list[str]
    submit: Callable[[Program, int], Awaitable[UUID]]
    let_go: Callable[[list[str]], None]
    cancel: Callable[[UUID], Awaitable[object]]
    queue_label: str
    run_label: str
    client: list[str]

    async def held(self, seen: Watcher, count: int) -> list[UUID]:
        """So many runs at work: the server says so, and their containers run."""
        runs: list[UUID] = []
        for first in range(0, count, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, count))
            runs += await asyncio.gather(*(self.submit("hold", code_of(number)) for number in some))
        await self.at_work(seen, runs)
        return runs

    async def at_work(self, seen: Watcher, runs: list[UUID]) -> None:
        """Wait until these runs are at work."""
        if await seen.until(runs, {"RUNNING"}.issuperset, seconds=_START_S) is None:
            raise RuntimeError(f"{self.name}: {len(runs)} runs do not all start")
        await self.containers_run(len(runs))

    async def containers_run(self, count: int) -> None:
        """Wait until so many containers of the queue run."""
        deadline = time.monotonic() + _START_S
        while len(await asyncio.to_thread(self.containers)) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {count} containers do not all start")
            await asyncio.sleep(0.2)

    def containers(self, *, running: bool = True) -> dict[UUID, str]:
        """The queue's containers in the engine by run, those that run or all."""
        command = ["docker", "ps", *([] if running else ["-a"]), "--filter", f"label={self.queue_label}={self.queue}"]
        command += ["--format", f'{{{{.Label "{self.run_label}"}}}} {{{{.ID}}}}']
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return {UUID(run): container for run, container in (line.split() for line in listed)}

    def clear(self) -> None:
        """Remove the queue's containers."""
        if left := self.containers(running=False).values():
            subprocess.run(["docker", "rm", "-f", *left], capture_output=True, check=True)


def code_of(number: int) -> int:
    """The exit code of the so-many-th held run."""
    return number % 7


async def ours(stage: Stage, part: str, kind: Literal["docker", "process"] = "docker") -> Side:
    """Our agent on a queue of its own."""
    store, queue = open_store(stage.settings.store_url), stage.queue(f"{part}-ours")
    version = await asyncio.to_thread(job, store, stage.settings.home / f"program-{kind}", python=kind == "docker")
    await create_queue(queue, kind)

    async def enqueue(program: Program, code: int = 0) -> UUID:
        overrides = Overrides(args=(program, str(code)))
        return (await submit(Submission(job=version.reference, queue=queue, overrides=overrides), store)).id

    async def cancel(run: UUID) -> object:
        return await cancel_run(str(run))

    def let_go(some: list[str]) -> None:
        subprocess.run(["docker", "kill", "-s", "USR1", *some], check=True, capture_output=True)

    agent = [sys.executable, "-m", "launch_jobs", "agent", "-q", queue]
    return Side("ours", queue, agent, enqueue, let_go, cancel, *OUR_LABELS, ["ours", queue, version.reference])


def job(store: JobStore, folder: Path, *, python: bool) -> JobVersion:
    """The program as a captured job."""
    folder.mkdir(exist_ok=True)
    (folder / "program.sh").write_bytes((Path(__file__).parent / "program.sh").read_bytes())
    with snapshot_source(folder, store) as snapshot:
        environment = Environment(python=platform.python_version()) if python else Environment()
        entrypoint = Entrypoint(argv=("sh", "program.sh"))
        made = Job(source=snapshot.source, entrypoint=entrypoint, environment=environment)
        return store.add(folder.name, made, snapshot.origin)


async def stock(stage: Stage, part: str, **variables: Any) -> Side:
    """A stock prefect-docker worker on a pool of its own: the flow runs in the container."""
    pool, release = stage.queue(f"{part}-stock"), stage.settings.home / f"release-{part}"
    release.mkdir()
    volumes = [f"{IMAGE_FOLDER}:/opt/bench:ro", f"{release}:/release:ro"]
    async with get_client() as client:
        deployment = await stock_deployment(client, pool, "hold", volumes=volumes, **variables)

    async def enqueue(program: Program, _: int = 0) -> UUID:
        (release / "now").touch() if program == "quick" else (release / "now").unlink(missing_ok=True)
        async with get_client() as client:
            asked = {"stubborn": program == "stubborn"}
            return (await client.create_flow_run_from_deployment(deployment, parameters=asked)).id

    async def cancel(run: UUID) -> object:
        async with get_client() as client:
            return await client.set_flow_run_state(run, State(type=StateType.CANCELLING))

    def let_go(_: list[str]) -> None:
        (release / "now").touch()

    return Side(
        "stock", pool, stock_worker(pool), enqueue, let_go, cancel, *STOCK_LABELS, ["stock", str(deployment), ""]
    )
