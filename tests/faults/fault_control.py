"""The control: the same rounds with stock Prefect process workers. Where it passes, the fault proves nothing."""

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
from typing import Any, cast

import control_flow
from fault_bench import AgentProcess, Bench, How
from fault_history import Asked, Record
from fault_round import Round
from fault_server import logs_of, states_of
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from launch_jobs.client import connect
from launch_jobs.errors import LaunchError
from launch_jobs.runs import cancel_run

NAMES = ("F06", "F10", "F17", "F28", "F31", "F33", "F33d")
SHORT = ("F06", "F10", "F33d")
"""Where it surely fails, and soon."""
_HERE = Path(__file__).parent


@dataclass
class StockRound(Round):
    """A round with stock workers."""

    def agent(self, how: How = How()) -> AgentProcess:  # noqa: B008 - frozen
        """Start a stock worker; crash points and homes are ours alone."""
        command = ("-m", "prefect", "worker", "start", "--pool", self.queue, "--type", "process")
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
async def stock_round(bench: Bench, folder: Path, *, limit: int | None = None) -> AsyncGenerator[StockRound]:
    """A round on a stock process pool of its own."""
    pool = f"stock-{uuid.uuid4().hex[:6]}"
    folder.mkdir(parents=True)  # noqa: ASYNC240 - once, and local
    template = ProcessWorker.get_default_base_job_template()
    async with connect() as client:
        create = WorkPoolCreate(name=pool, type="process", base_job_template=template, concurrency_limit=limit)
        await client.create_work_pool(create)
        flow = await client.create_flow_from_name("fault-control")
        await client.create_deployment(
            flow_id=flow,
            name=pool,
            work_pool_name=pool,
            entrypoint="control_flow.py:work",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(_HERE)}}],
            enforce_parameter_schema=False,
        )
    try:
        yield StockRound(bench, pool, folder, limit)
    finally:
        bench.stop_agents()
        bench.agents.clear()
        async with connect() as client:
            await client.delete_work_pool(pool)
