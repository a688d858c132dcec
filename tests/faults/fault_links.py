"""Faults between machines: cut networks, two hosts of which one is away, clocks of agents and server, frozen agents."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from uuid import UUID

import psutil
from fault_bench import AgentProcess, How
from fault_checker import RECOVERY_S
from fault_hosts import Host, Way, are_possible, host_before
from fault_kinds import WAIT_S
from fault_proxy import Rule
from fault_round import Round
from fault_server import shown
from prefect.client.schemas.objects import WorkerStatus

from launch_jobs.client import connect

_HOST = {"LAUNCH_JOBS_ALLOW_PROCESS": "1"}  # the server is on another host: ours
_QUICK = _HOST | {
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
    "LAUNCH_JOBS_ADOPT_GRACE_S": "3",
    "PREFECT_API_REQUEST_TIMEOUT": "15",  # as in life, shorter than it takes until another agent takes over
}
_OFFLINE_S = 90.0
"""The server first waits for the pings of a WebSocket that nobody closed."""
_TAKEN_OVER_S = 40.0
"""The grace, and two sweeps of the other agent: one that sees it away, and one that sees it still away."""


async def _host(round: Round) -> Host:
    return await round.stack.enter_async_context(host_before(f"127.0.0.1:{round.bench.connection.port}"))


def _home(round: Round, name: str) -> Path:
    home = round.folder / name
    home.mkdir()
    return home


async def _started(round: Round, number: int) -> None:
    round.note_missed(await round.bench.until(lambda: len(round.started()) >= number, WAIT_S), "not all started")


async def _serves(round: Round, agent: AgentProcess) -> None:
    there = await round.bench.until(lambda: b" serves " in agent.log.read_bytes(), WAIT_S)
    round.note_missed(there, "an agent did not come")


async def _offline(round: Round) -> None:
    """Wait until the server shows one of the agents offline."""
    deadline = time.monotonic() + _OFFLINE_S * round.bench.patience
    async with connect() as client:
        while time.monotonic() < deadline:
            agents = await client.read_workers_for_work_pool(round.queue)
            if any(agent.status is WorkerStatus.OFFLINE for agent in agents):
                return
            await asyncio.sleep(1)
    round.note_missed(False, "no agent went offline")


async def _logs_shown(round: Round) -> None:
    """Wait until Prefect shows all lines, or the time is over in which it shall: another agent may tell the ends."""
    deadline = time.monotonic() + RECOVERY_S * round.bench.patience
    wanted = {UUID(asked.run): asked.lines for asked in round.asked if asked.run}
    while wanted and time.monotonic() < deadline:
        await asyncio.sleep(1)
        wanted = {run: lines for run, lines in wanted.items() if len(await shown(run)) < lines}


async def row_locked(round: Round, runs: int) -> None:
    """The row of the first run in line is locked while an agent polls."""
    first = (await round.submit(1, seconds=0.5))[0]
    async with round.bench.locked(first):
        await round.submit(runs - 1, seconds=0.5)
        await _serves(round, round.agent())
        await asyncio.sleep(4 * round.bench.patience)


async def cut_off(way: Way, round: Round, runs: int) -> None:
    """F24, F25: packets of the agent's host are dropped in one direction, or both, while programs end."""
    if not are_possible():
        round.notes.append("missed: no network namespaces here")
        return
    host = await _host(round)
    round.agent(How(under=host.under, api=host.api.address, more=_HOST))
    await round.submit(runs, seconds=4)
    await _started(round, runs)
    host.cut(way)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await asyncio.sleep(round.bench.outage_s)
    host.heal()


async def lossy(round: Round, runs: int) -> None:
    """F26: one packet in five is lost, and each answer takes 0.2 s more."""
    if not are_possible():
        round.notes.append("missed: no network namespaces here")
        return
    host = await _host(round)
    host.lose(0.2)
    host.api.rules.append(Rule(".", "delay", times=10_000, seconds=0.2))
    round.agent(How(under=host.under, api=host.api.address, more=_HOST))
    await round.submit(runs, seconds=1)
    await round.bench.until(lambda: len(round.finished()) >= runs, 2 * WAIT_S)
    host.api.rules.clear()
    host.heal()


async def partitioned(round: Round, runs: int) -> None:
    """F24: of two hosts the one whose programs run is cut off until the other one may take it for dead."""
    if not are_possible():
        round.notes.append("missed: no network namespaces here")
        return
    one, two = await _host(round), await _host(round)
    first = round.agent(How(under=one.under, api=one.api.address, more=_QUICK))
    await round.submit(runs, seconds=8)
    await _started(round, runs)
    one.cut("both")
    round.agent(How(under=two.under, api=two.api.address, home=_home(round, "two"), more=_QUICK))
    await round.submit(1, seconds=0.5)
    await _started(round, runs + 1)
    await _offline(round)
    await asyncio.sleep(_TAKEN_OVER_S)
    one.heal()
    round.note_missed(first.lives, "the first agent has ended")
    await _logs_shown(round)


async def frozen_at(point: str, round: Round, runs: int) -> None:
    """F11: an agent is frozen at a point of its own code until one of another home has taken over, and goes on."""
    first = round.agent(How(crash=f"{point}:1:stop", more=_QUICK))
    await round.submit(runs, seconds=0.5)
    process = psutil.Process(first.process.pid)
    frozen = await round.bench.until(lambda: process.status() == psutil.STATUS_STOPPED, WAIT_S)
    round.note_missed(frozen, f"{point} was not reached")
    round.agent(How(home=_home(round, "other"), more=_QUICK))
    await _offline(round)
    await round.bench.until(lambda: len(round.finished()) >= runs, _TAKEN_OVER_S)
    first.signal(signal.SIGCONT)
    await asyncio.sleep(5 * round.bench.patience)


async def agents_clock(clock: str, round: Round, runs: int) -> None:
    """F29: an agent whose clock is wrong from the beginning."""
    await round.submit(1, seconds=0.5)
    await _serves(round, round.agent(How(clock=clock)))
    await round.submit(runs - 1, seconds=0.5)
    done = await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    round.note_missed(done, f"an agent whose clock is {clock} did not run them in {WAIT_S:.0f} s")


async def clock_steps(round: Round, runs: int) -> None:
    """F29: an agent's clock steps back, and ahead, while it works."""
    clock = round.folder / "clock"
    clock.write_text("+0")
    more = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    await _serves(round, round.agent(How(clock="+0", more=more)))
    for number, step in enumerate(("-600s", "+600s")):
        await round.submit(runs - 1 if number == 0 else 1, seconds=2)
        await _started(round, runs - 1 + number)
        clock.write_text(step)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)


async def servers_clock(clock: str, round: Round, runs: int) -> None:
    """F30: the server comes back with another clock while programs run; and with the right one afterwards."""
    round.agent()
    await round.submit(runs - 1, seconds=3)
    await _started(round, runs - 1)
    round.bench.kill_server()
    await round.bench.repair(clock=clock)
    round.lane = "/by another clock"
    await round.submit(1, seconds=0.5)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    round.bench.kill_server()
    await round.bench.repair()
