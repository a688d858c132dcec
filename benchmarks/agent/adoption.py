"""An agent is killed while runs are at work, and started again: what does the next one know of them?"""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import TYPE_CHECKING
from uuid import UUID

import psutil

from benchmarks.agent.sides import Side, code_of
from benchmarks.serving import serving
from benchmarks.stage import Stage, cpu_s
from benchmarks.watching import Watcher
from launch_jobs.job import Frozen
from launch_jobs.runs import show_run
from launch_jobs.store.jobs import open_store

if TYPE_CHECKING:
    from pathlib import Path

_FOUND_S = 60.0
_LOOK_S = 0.02
_KILLED = 5
"""The container of every so many-th run is killed."""

_KILLED_CODE = 137


class Adoption(Frozen):
    """What the next agent made of the runs.

    Attributes:
        runs: at work when the agent was killed.
        adopted: runs of which the next agent told something.
        first_s: from the start of the next agent's process to the first of these.
        all_s: the same to the last.
        serves_s: the same until the agent said that it serves its queue.
        agent_cpu_s: processor time of the agent until then, starting included.
        server_cpu_s: the same of the server and its database.
        calls: requests for each run until then.
        let_go: runs that ended by themselves then.
        let_go_right: of these, those that ended as they did, their exit codes kept.
        killed: runs whose container was killed then.
        killed_right: of these, those that are told to have ended badly.
        started_again: containers that were made after the kill.
    """

    runs: int
    adopted: int
    first_s: float | None
    all_s: float | None
    serves_s: float | None
    agent_cpu_s: float
    server_cpu_s: float
    calls: float
    let_go: int
    let_go_right: int
    killed: int
    killed_right: int
    started_again: int


async def adoption(side: Side, stage: Stage, seen: Watcher, count: int, *, patience_s: float = _FOUND_S) -> Adoption:
    """Kill an agent with so many runs at work, start the next, let most of the runs end, and kill a fifth of them.

    Args:
        side: whose.
        stage: where.
        seen: of its database.
        count: how many.
        patience_s: how long to wait for adoption, and for ends.
    """
    log = stage.settings.home / f"{side.queue}.log"
    with serving(side.agent, log, stage.environment) as agent:
        await seen.completed([await side.submit("quick", 0)])
        runs = await side.held(seen, count)
        agent.kill()
        agent.wait()
    log.unlink()
    stage.counts()
    begin, used = time.time(), stage.server_cpu_s()
    with serving(side.agent, log, stage.environment) as agent:
        serves = await asyncio.to_thread(_said, log, begin)
        found = await _adopted(seen, runs, begin, patience_s)
        cpu, used, calls = cpu_s(psutil.Process(agent.pid)), stage.server_cpu_s() - used, sum(stage.counts().values())
        await asyncio.to_thread(_end, side, runs)
        await seen.ended(runs, seconds=patience_s)
    right = [await _is_right(side, stage, number, seen, run) for number, run in enumerate(runs)]
    result = Adoption(
        runs=count,
        adopted=found[0],
        first_s=found[1],
        all_s=found[2],
        serves_s=serves,
        agent_cpu_s=round(cpu, 2),
        server_cpu_s=round(used, 2),
        calls=round(calls / count, 1),
        let_go=count - len(runs[::_KILLED]),
        let_go_right=sum(right) - sum(right[::_KILLED]),
        killed=len(runs[::_KILLED]),
        killed_right=sum(right[::_KILLED]),
        started_again=await asyncio.to_thread(_made_since, side, begin),
    )
    await asyncio.to_thread(side.clear)
    return result


async def _adopted(
    seen: Watcher, runs: list[UUID], begin: float, patience_s: float
) -> tuple[int, float | None, float | None]:
    """How many runs got a new state, and when the first and the last of all did."""
    first = None
    while True:
        number, now = await seen.told_since(runs, begin), round(time.time() - begin, 2)
        if number and first is None:
            first = now
        if number == len(runs) or now > patience_s:
            return number, first, now if number == len(runs) else None
        await asyncio.sleep(_LOOK_S)


def _said(log: Path, begin: float) -> float | None:
    """When the agent said that it serves."""
    while time.time() < begin + _FOUND_S:
        if log.exists() and any(word in log.read_text(errors="replace") for word in ("serves", "started!")):
            return round(time.time() - begin, 2)
        time.sleep(_LOOK_S)
    return None


def _end(side: Side, runs: list[UUID]) -> None:
    """Kill the containers of every fifth run, and let the others go."""
    there = side.containers()
    killed = [there[run] for run in runs[::_KILLED]]
    subprocess.run(["docker", "kill", *killed], check=True, capture_output=True)
    side.let_go([container for container in there.values() if container not in killed])


async def _is_right(side: Side, stage: Stage, number: int, seen: Watcher, run: UUID) -> bool:
    """Whether a run's end is told as it was."""
    is_killed = number % _KILLED == 0
    state = (await seen.states([run]))[run]
    if side.name != "ours":  # its flow tells its own end; nobody keeps exit codes
        return state in ({"FAILED", "CRASHED"} if is_killed else {"COMPLETED"})
    code = _KILLED_CODE if is_killed else code_of(number)
    info = await show_run(str(run), open_store(stage.settings.store_url))
    return info.exit_code == code and info.attempt == 1 and state == ("FAILED" if code else "COMPLETED")


def _made_since(side: Side, begin: float) -> int:
    """How many containers of the queue were made since then."""
    command = ["docker", "events", "--since", f"{begin:.3f}", "--until", f"{time.time():.3f}", "--format", "{{.ID}}"]
    filters = ["type=container", "event=create", f"label={side.queue_label}={side.queue}"]
    words = [word for text in filters for word in ("--filter", text)]
    return len(subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout.split())
