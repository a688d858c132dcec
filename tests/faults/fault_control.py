"""The control: the same rounds with stock Prefect workers. Where it passes, the fault proves nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import control_flow
from fault_bench import AgentProcess, Bench, How
from fault_checker import RECOVERY_S
from fault_engine import remove_labelled
from fault_history import Asked, Record, Seen, read_witness
from fault_round import Round
from fault_server import logs_of, states_of
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker
from prefect_docker.worker import DockerWorker

from launch_jobs.client import connect
from launch_jobs.errors import LaunchError
from launch_jobs.runs import cancel_run

StockKind = Literal["process", "docker"]
_LABEL = "launch-jobs-faults"
NAMES = ("F06", "F10", "F17", "F28", "F31", "F33", "F33d")
SHORT = ("F06", "F10", "F33d")
"""Where it surely fails, and soon."""
_HERE = Path(__file__).parent


@dataclass
class StockRound(Round):
    """A round with stock workers; what ran is told by the programs themselves, also of those in containers."""

    kind: StockKind = "process"

    @property
    def witness(self) -> Path:
        """The file that programs append to."""
        return self.folder / "witness"

    def seen(self) -> tuple[Seen, ...]:
        """What it tells now."""
        text = self.witness.read_text() if self.witness.exists() else ""
        return read_witness(line for line in text.splitlines(keepends=True) if line.endswith("\n"))

    def agent(self, how: How = How()) -> AgentProcess:  # noqa: B008 - frozen
        """Start a stock worker; crash points and homes are ours alone."""
        command = ("-m", "prefect", "worker", "start", "--pool", self.queue, "--type", self.kind)
        self.agents.append(self.bench.agent(self.queue, How(clock=how.clock, command=command)))
        return self.agents[-1]

    async def _submit(self, words: list[str], key: str) -> str:
        asked = Asked(key, "ok", None, time.monotonic(), 0.0, int(words[3]), int(words[1]), self.queue)
        with temporary_settings(cast("Any", {PREFECT_API_URL: f"http://{self.bench.front.address}/api"})):
            run = await control_flow.submit(self.queue, key, str(self.bench.program), words)
        self.asked.append(replace(asked, run=run, done=time.monotonic()))
        return run

    async def submit_by_command(self, *, clock: str = "") -> None:
        """Submit a run by Prefect's client in a process whose clock may be wrong."""
        words = [str(self.witness), "3", "0.2", "0"]
        key = f"{self.queue}-{uuid.uuid4().hex[:6]}"
        command = [sys.executable, control_flow.__file__, self.queue, key, str(self.bench.program), *words]
        command = ["faketime", "-f", clock, *command] if clock else command
        asked = Asked(key, "ok", None, time.monotonic(), 0.0, 0, 3, self.queue)
        done = await asyncio.to_thread(
            subprocess.run, command, env=self.bench.environment(), capture_output=True, check=True
        )
        self.asked.append(replace(asked, run=done.stdout.decode().split()[-1], done=time.monotonic()))

    async def cancel(self, run: str) -> bool:
        """As the UI does: CANCELLING, or CANCELLED where nothing runs."""
        try:
            await cancel_run(run)
        except (LaunchError, PrefectException):
            return False
        self.change(run, cancelled=time.monotonic())
        return True

    async def _record(self, run: FlowRun) -> Record:
        record = await super()._record(run)
        states = await states_of(run.id)
        claims = tuple(state.timestamp.timestamp() for state in states if state.type is StateType.PENDING)
        # It keeps nothing but what Prefect's logs show; and of those only the program's lines count.
        shown = tuple(log.message for log in await logs_of(run.id) if log.message.startswith("line "))
        return replace(record, claims=claims, log=shown, shown=shown)


@asynccontextmanager
async def stock_round(
    bench: Bench, folder: Path, *, limit: int | None = None, kind: StockKind = "process"
) -> AsyncGenerator[StockRound]:
    """A round on a stock pool of its own."""
    pool = f"stock-{uuid.uuid4().hex[:6]}"
    folder.mkdir(parents=True)  # noqa: ASYNC240 - once, and local
    worker = ProcessWorker if kind == "process" else DockerWorker
    template = worker.get_default_base_job_template()
    async with connect() as client:
        create = WorkPoolCreate(name=pool, type=kind, base_job_template=template, concurrency_limit=limit)
        await client.create_work_pool(create)
        flow = await client.create_flow_from_name("fault-control")
        await client.create_deployment(
            flow_id=flow,
            name=pool,
            work_pool_name=pool,
            entrypoint="control_flow.py:work",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(_HERE)}}],
            enforce_parameter_schema=False,
            job_variables=_container(bench, folder, pool) if kind == "docker" else {},
        )
    try:
        yield StockRound(bench, pool, folder, limit, settle_s=RECOVERY_S / bench.patience, kind=kind)
    finally:
        bench.stop_agents()
        bench.agents.clear()
        if kind == "docker":
            remove_labelled(f"{_LABEL}={pool}")
        async with connect() as client:
            await client.delete_work_pool(pool)


def _container(bench: Bench, folder: Path, pool: str) -> dict[str, object]:
    """Job variables of a container in which Prefect is this environment's, and files are where they are here."""
    python = Path(sys.prefix).resolve()
    seen = (python, Path(sys.base_prefix).resolve(), _HERE, bench.program.parent)
    return {
        "image": bench.images.get("LAUNCH_JOBS_BASE_IMAGE", ""),
        "image_pull_policy": "Never",
        "network_mode": "host",
        "command": f"{python}/bin/python -m prefect flow-run execute",
        "volumes": [*(f"{path}:{path}:ro" for path in seen), f"{folder}:{folder}"],
        "labels": {_LABEL: pool},
    }
