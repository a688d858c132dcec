"""One round of the campaign: a queue of its own, runs on it, what is broken meanwhile, and the history in the end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from fault_bench import AgentProcess, Bench, How
from fault_checker import RECOVERY_S
from fault_engine import containers_of, remove_all
from fault_history import Asked, History, Record, Seen, read_witness
from fault_server import shown, states_of
from prefect.client.schemas.filters import (
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from launch_jobs.client import connect
from launch_jobs.errors import LaunchError, Refused, Unavailable
from launch_jobs.job import JobVersion, Overrides
from launch_jobs.names import attempt_of
from launch_jobs.queue import create_queue, delete_queue
from launch_jobs.runs import CLAIM, cancel_run
from launch_jobs.store.jobs import JobStore
from launch_jobs.submission import Submission, submit

SCALED = {"PREFECT_CLIENT_MAX_RETRIES": "2"}
"""Prefect's client gives a request up after a minute; scaled as outages are."""

_ASK_S = 60.0
_PAGE = 200


@dataclass
class Round:
    """What a fault has to work with."""

    bench: Bench
    queue: str
    folder: Path
    limit: int | None = None
    asked: list[Asked] = field(default_factory=list[Asked])
    exits: list[float] = field(default_factory=list[float])
    notes: list[str] = field(default_factory=list[str])
    cleared: float = 0.0
    ended: dict[str, float] = field(default_factory=dict[str, float])
    agents: list[AgentProcess] = field(default_factory=list[AgentProcess])
    lane: str = ""
    settle_s: float = 1.5 * RECOVERY_S
    more: dict[str, str] = field(default_factory=dict[str, str])
    """Of the environment of all its agents."""
    other_store: tuple[JobStore, JobVersion] | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What is there for this round alone: hosts, disks; taken down after its agents."""

    @property
    def witness(self) -> Path:
        """The file that programs append to; of containers the engine tells."""
        return Path(os.devnull) if self.bench.containers else self.folder / "witness"

    @property
    def store(self) -> JobStore:
        """Where outcomes and logs are."""
        return self.other_store[0] if self.other_store else self.bench.store

    @property
    def job(self) -> JobVersion:
        """The witness program, as a job of that store."""
        return self.other_store[1] if self.other_store else self.bench.job

    async def use_store(self, store: JobStore) -> None:
        """Have another store for this round."""
        self.other_store = store, await asyncio.to_thread(self.bench.witness, store)

    def seen(self) -> tuple[Seen, ...]:
        """What the witness tells now."""
        if self.bench.containers:
            return self.bench.containers.seen({asked.run for asked in self.asked if asked.run})
        text = self.witness.read_text() if self.witness.exists() else ""
        return read_witness(line for line in text.splitlines(keepends=True) if line.endswith("\n"))

    def started(self) -> set[str]:
        """Runs whose program has begun."""
        return {seen.run for seen in self.seen() if seen.code is None}

    def finished(self) -> set[str]:
        """Runs whose program has come to its end."""
        return {seen.run for seen in self.seen() if seen.code is not None}

    def agent(self, how: How = How()) -> AgentProcess:  # noqa: B008 - frozen
        """Start an agent of this round's queue."""
        scaled = SCALED if self.bench.is_scaled else {}
        self.agents.append(self.bench.agent(self.queue, replace(how, more=scaled | self.more | how.more)))
        return self.agents[-1]

    async def submit(
        self, number: int = 1, *, seconds: float = 1.0, code: int | None = None, stubborn: bool = False
    ) -> list[str]:
        """Submit runs one after another through the submitters' proxy, and again while it is unknown; their ids."""
        runs: list[str] = []
        for _ in range(number):
            ends = self.bench.random.choice((0, 0, 3)) if code is None else code
            lines = self.bench.random.randint(1, 400)
            words = [str(self.witness), str(lines), str(seconds), str(ends), *(["stubborn"] if stubborn else [])]
            runs.append(await self._submit(words, f"{self.queue}-{len(self.asked)}-{uuid.uuid4().hex[:4]}"))
        return runs

    async def _submit(self, words: list[str], key: str) -> str:
        what = Submission(job=self.job.reference, queue=self.queue, overrides=Overrides.of(args=words), key=key)
        deadline = time.monotonic() + _ASK_S * self.bench.patience
        while True:
            asked = Asked(
                key, "unknown", None, time.monotonic(), 0.0, int(words[3]), int(words[1]), self.queue + self.lane
            )
            try:
                with temporary_settings({PREFECT_API_URL: f"http://{self.bench.front.address}/api"}):
                    run = str((await submit(what, self.store)).id)
            except Unavailable:
                self.asked.append(replace(asked, done=time.monotonic()))
                if time.monotonic() > deadline:
                    raise
                continue
            self.asked.append(replace(asked, told="ok", run=run, done=time.monotonic()))
            return run

    async def submit_by_command(self, *, clock: str = "") -> None:
        """Submit a run by `launch submit` in a process whose clock may be wrong."""
        key = f"{self.queue}-{len(self.asked)}"
        command = [sys.executable, "-m", "launch_jobs", "submit", self.job.reference, "-q", self.queue, "--json"]
        for word in (str(self.witness), "3", "0.2", "0"):
            command += ["--arg", word]
        if clock:
            command = ["faketime", "-f", clock, *command]
        asked = Asked(key, "unknown", None, time.monotonic(), 0.0, 0, 3, self.queue + self.lane)
        done = await asyncio.to_thread(
            subprocess.run, [*command, "--key", key], env=self.bench.environment(), capture_output=True, check=False
        )
        if done.returncode:
            self.notes.append(f"submit said: {done.stderr.decode()[-200:]}")
            self.asked.append(replace(asked, done=time.monotonic()))
            return
        run = str(json.loads(done.stdout)["id"])
        self.asked.append(replace(asked, told="ok", run=run, done=time.monotonic()))

    async def cancel(self, run: str) -> bool:
        """Ask for a run's end; False if it was refused, for it was over."""
        try:
            await cancel_run(run)
        except Refused:
            return False
        self.change(run, cancelled=time.monotonic())
        return True

    def change(self, run: str, **what: object) -> None:
        """Note what is expected of a run now."""
        self.asked = [replace(one, **what) if one.run == run else one for one in self.asked]  # pyright: ignore[reportArgumentType] - fields of `Asked`

    def note_missed(self, hit: bool, what: str) -> None:
        """A fault that could not be done proves nothing; say so."""
        if not hit:
            self.notes.append(f"missed: {what}")

    async def settle(self) -> None:
        """The faults are over: let an agent be there, and wait until all is over, or time is."""
        self.bench.proxy.come_back()
        self.bench.front.come_back()
        self.bench.engine.come_back()
        self._see_to_an_agent()
        self.cleared = time.monotonic()
        deadline = self.cleared + self.settle_s * self.bench.patience
        wanted = {asked.run for asked in self.asked if asked.run}
        while not wanted <= set(self.ended) and time.monotonic() < deadline:
            with suppress(LaunchError):
                await self.look()
            await asyncio.sleep(0.3)
            if self._see_to_an_agent():
                self.notes.append(f"an agent ended by itself: {self.agents[-2].log.read_text()[-300:]}")

    def _see_to_an_agent(self) -> bool:
        """Start one where none lives, as a service manager does; whether it did."""
        if any(agent.lives for agent in self.agents):
            return False
        self.agent()
        return True

    async def look(self) -> None:
        """See which runs are over."""
        for run in await self._runs():
            if run.state is not None and run.state.is_final():
                self.ended.setdefault(str(run.id), time.monotonic())
            else:
                self.ended.pop(str(run.id), None)

    async def _runs(self) -> list[FlowRun]:
        async with connect() as client:
            pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self.queue]))
            return await client.read_flow_runs(work_pool_filter=pool, limit=_PAGE)

    async def history(self) -> History:
        """All that is known of the round; its agents are ended first, by SIGTERM, which flushes what they hold."""
        for agent in self.agents:
            await self.leave(agent)
        runs = await self._runs()
        records = tuple([await self._record(run) for run in runs])
        damage: list[str] = []
        if self.other_store:
            self.bench.elsewhere |= {record.run for record in records}
            damage = [f"{finding.key}: {finding.what}" for finding in self.store.check(lambda _: None)]
        return History(
            asked=tuple(self.asked),
            seen=self.seen(),
            records=records,
            cleared=self.cleared,
            limit=self.limit,
            left=tuple(self._left({record.run for record in records if record.ended is not None})),
            damage=tuple(damage),
            exits=tuple(self.exits),
        )

    async def leave(self, agent: AgentProcess) -> None:
        """Ask an agent to leave, and note how long it took."""
        if not agent.lives:
            return
        begun = time.monotonic()
        agent.process.terminate()
        await asyncio.to_thread(agent.process.wait, 60)
        self.exits.append(time.monotonic() - begun)

    async def _record(self, run: FlowRun) -> Record:
        states = sorted(await states_of(run.id), key=lambda state: state.id == run.state_id)  # clocks may step back
        number = int(str(run.labels.get("launch.attempt", 0)))
        found = [(n, self.store.outcome(str(run.id), n)) for n in range(1, number + 1)]
        return Record(
            run=str(run.id),
            key=run.idempotency_key or "",
            states=tuple(state.type.value for state in states),
            claims=tuple(state.timestamp.timestamp() for state in states if CLAIM.fullmatch(state.message or "")),
            outcomes=tuple((n, outcome.state.value) for n, outcome in found if outcome),
            log=self._stored_log(str(run.id), number),
            shown=await shown(run.id),
            ended=self.ended.get(str(run.id)),
            reason=(run.state.message if run.state else None) or "",
        )

    def _stored_log(self, run: str, attempt: int) -> tuple[str, ...] | None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            if not attempt or not self.store.get_log(run, attempt, path):
                return None
            return tuple(path.read_text().splitlines())

    def _left(self, over: set[str]) -> list[str]:
        """Folders and processes of runs that are over. A process says by its environment whose it is."""
        attempts = {
            path.name: attempt_of(path.name)
            for home in (self.bench.home, *self.folder.glob("*"))
            for path in (home / "runs").glob("lj-*")
        }
        folders = [name for name, attempt in attempts.items() if attempt and attempt[0] in over]
        marks = {f"LAUNCH_RUN_ID={run}".encode() for run in over}
        left = containers_of(over) if self.bench.containers else []
        return left + folders + [f"pid {pid}" for pid in psutil.pids() if marks & _environment_of(pid)]


def _environment_of(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")) if pid != os.getpid() else set()
    except OSError:
        return set()


@asynccontextmanager
async def new_round(bench: Bench, folder: Path, *, limit: int | None = None) -> AsyncGenerator[Round]:
    """A round on a queue of its own, which is gone after it, with all its agents."""
    queue = f"{bench.target}-{uuid.uuid4().hex[:6]}"
    folder.mkdir(parents=True)  # noqa: ASYNC240 - once, and local
    await create_queue(queue, bench.target, limit=limit)
    made = Round(bench, queue, folder, limit)
    try:
        yield made
    finally:
        bench.stop_agents()
        bench.agents.clear()
        await made.stack.aclose()
        if bench.containers:
            remove_all("none", {asked.run for asked in made.asked if asked.run})
        with suppress(LaunchError):
            await delete_queue(queue)
