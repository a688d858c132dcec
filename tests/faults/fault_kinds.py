"""What the faults of RELIABILITY 3.3 do: each does its worst to a round, and leaves what it broke mended."""

from __future__ import annotations

import asyncio
import signal

import psutil
from fault_bench import How
from fault_proxy import Rule
from fault_round import Round

WAIT_S = 60.0


async def _working(round: Round, runs: int, seconds: float) -> None:
    """An agent has started these runs."""
    round.agent()
    await round.submit(runs, seconds=seconds)
    wanted = runs if round.limit is None else min(runs, round.limit)
    round.note_missed(await round.bench.until(lambda: len(round.started()) >= wanted, WAIT_S), "not all started")


async def nothing(round: Round, runs: int) -> None:
    """No fault at all: what the bench itself breaks would show."""
    await _working(round, runs, 0.5)


async def crash_at(point: str, round: Round, runs: int) -> None:
    """The agent dies at a point of its own code."""
    agent = round.agent(How(crash=f"{point}:{round.bench.random.randint(1, max(1, runs // 2))}"))
    await round.submit(runs, seconds=0.5)
    round.note_missed(await round.bench.until(lambda: not agent.lives, WAIT_S), f"{point} was not reached")


async def crash_while_adopting(round: Round, runs: int) -> None:
    """The agent dies, and the next one while it adopts."""
    await _working(round, runs, 3)
    round.agents[-1].kill()
    second = round.agent(How(crash="adopt.before:2" if runs > 1 else "adopt.before"))
    round.note_missed(await round.bench.until(lambda: not second.lives, WAIT_S), "adopt.before was not reached")


async def crash_while_requeueing(round: Round, runs: int) -> None:
    """The agent dies with a claim, and the next one while it puts the run back."""
    await crash_at("claim.after", round, runs)
    second = round.agent(How(crash="requeue.before"))
    round.note_missed(await round.bench.until(lambda: not second.lives, WAIT_S), "requeue.before was not reached")


async def ends_while_away(round: Round, runs: int) -> None:
    """F06: the agent is killed, and the programs end while nobody looks."""
    await _working(round, runs, 4)
    round.agents[-1].kill()
    round.note_missed(await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S), "not all ended")


async def kill_again_and_again(round: Round, runs: int) -> None:
    """F09: agents are killed one after another."""
    await round.submit(runs, seconds=2)
    for _ in range(3):
        agent = round.agent()
        await asyncio.sleep(round.bench.random.uniform(1, 5) * round.bench.patience)
        agent.kill()


async def asked_to_leave(round: Round, runs: int) -> None:
    """F10: SIGTERM while programs run; the next agent finishes them."""
    await _working(round, runs, 6)
    await round.leave(round.agents[-1])


async def frozen(round: Round, runs: int) -> None:
    """F11, F12: an agent is stopped for a while, another one of its home comes, and the first one goes on."""
    await _working(round, runs, 2)
    first = round.agents[-1]
    first.signal(signal.SIGSTOP)
    round.agent()
    await round.bench.until(lambda: len(round.finished()) >= runs, 10)
    await asyncio.sleep(5)
    first.signal(signal.SIGCONT)


async def lost_answers(round: Round, runs: int) -> None:
    """F13: the server does what the agent asks, and the answer is lost: claims, states, labels, at random."""
    for what in (r"POST .*/set_state", r"PATCH .*/labels", r"POST .*/get_scheduled"):
        round.bench.proxy.rules.append(Rule(what, "drop", times=round.bench.random.randint(1, 3)))
    await _working(round, runs, 0.5)
    await round.bench.until(lambda: len(round.finished()) >= runs, 30)


async def lost_submits(round: Round, runs: int) -> None:
    """F14: the server takes a submit, and its answer is lost; it is repeated with the same key."""
    round.agent()
    for _ in range(runs):
        round.bench.front.rules = [Rule(r"POST /api/flow_runs/$", "drop", times=round.bench.random.randint(1, 8))]
        await round.submit(1, seconds=0.2)


async def api_away(how: str, round: Round, runs: int) -> None:
    """F17: the API is away while programs end."""
    await _working(round, runs, 4)
    round.bench.proxy.go_down("silent" if how == "silent" else "refuse")
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await asyncio.sleep(round.bench.outage_s)


async def api_away_at_start(how: str, round: Round, runs: int) -> None:
    """F17: the API goes away while runs are claimed, prepared and started."""
    agent = round.agent()
    there = await round.bench.until(lambda: b" serves " in agent.log.read_bytes(), WAIT_S)
    round.note_missed(there, "an agent did not come")
    await round.submit(runs, seconds=1)
    await asyncio.sleep(round.bench.random.uniform(0, 2))
    round.bench.proxy.go_down("silent" if how == "silent" else "refuse")
    await asyncio.sleep(round.bench.outage_s)


async def api_overloaded(round: Round, runs: int) -> None:
    """F20: the API answers 503, 429 and slowly."""
    random = round.bench.random
    for status in (503, 429):
        round.bench.proxy.rules.append(Rule(".", "status", times=random.randint(5, 20), status=status))
        round.bench.front.rules.append(Rule("flow_runs", "status", times=random.randint(1, 6), status=status))
    round.bench.proxy.rules.append(Rule(".", "delay", times=40, seconds=0.3))
    await _working(round, runs, 0.5)


async def server_killed(round: Round, runs: int) -> None:
    """F18: the Prefect server is killed while programs run, and started again."""
    await _working(round, runs, 3)
    round.bench.kill_server()
    await asyncio.sleep(2)
    await round.bench.repair()


async def database_killed(round: Round, runs: int) -> None:
    """F19: PostgreSQL is killed while programs run, and recovers."""
    await _working(round, runs, 3)
    round.bench.kill_database()
    await asyncio.sleep(2)
    await round.bench.repair()


async def database_away(round: Round, runs: int) -> None:
    """F19: PostgreSQL is away while programs end; the server lives, and has nothing to answer with."""
    await _working(round, runs, 4)
    round.bench.kill_database()
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await asyncio.sleep(round.bench.outage_s)
    await round.bench.repair()


async def flapping(round: Round, runs: int) -> None:
    """F23, F27: the link to the API comes and goes, WebSockets are cut."""
    round.agent()
    await round.submit(runs, seconds=1)
    for _ in range(4):
        round.bench.proxy.go_down()
        await asyncio.sleep(3)
        round.bench.proxy.come_back()
        await asyncio.sleep(2)


async def submitters_clock(round: Round, runs: int) -> None:
    """F28: submitters with slow and fast clocks, one after another; then an agent."""
    for number in range(runs):
        await round.submit_by_command(clock=("", "-120s", "", "+300s", "-1d")[number % 5])


async def racing_agents(round: Round, runs: int) -> None:
    """F31: agents of several homes at one queue with a limit of 1."""
    for number in range(3):
        home = round.folder / f"home-{number}"
        home.mkdir()
        round.agent(How(home=home if number else None))
    await round.submit(runs, seconds=0.3)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)


async def cancelled(alive: bool, round: Round, runs: int) -> None:
    """F33: cancels while queued, running, about to end, and over; with and without a living agent."""
    queued = (await round.submit(1))[0]
    await round.cancel(queued)
    await _working(round, runs, 4)
    if not alive:
        round.agents[-1].kill()
    ids = [asked.run for asked in round.asked if asked.run and asked.run != queued]
    for number, run in enumerate(ids):
        await asyncio.sleep(0 if number % 2 else round.bench.random.uniform(0, 2))
        await round.cancel(run)


async def cancelled_as_claimed(round: Round, runs: int) -> None:
    """F33: cancels at moments in which a run may be claimed, resolved or started."""
    round.agent()
    for run in await round.submit(runs, seconds=2):
        await asyncio.sleep(round.bench.random.uniform(0, 1.5))
        await round.cancel(run)


async def stubborn(round: Round, runs: int) -> None:
    """F34: programs that ignore SIGTERM and detach a child are cancelled."""
    round.agent()
    ids = await round.submit(runs, seconds=60, stubborn=True)
    await round.bench.until(lambda: len(round.started()) >= runs, WAIT_S)
    for run in ids:
        await round.cancel(run)


async def attempt_killed(round: Round, runs: int) -> None:
    """F36: a program is killed with its supervisor; nobody can know its exit code."""
    await _working(round, runs, 6)
    victim = next(seen for seen in round.seen() if seen.code is None)
    program = psutil.Process(victim.pid)
    for process in (program.parents()[0], *program.children(recursive=True), program):
        process.kill()
    round.change(victim.run, lost=True)


async def everything_killed(round: Round, runs: int) -> None:
    """F56: agent, server and database are killed together, and started again; programs go on."""
    await _working(round, runs, 3)
    round.agents[-1].kill()
    round.bench.kill_server()
    round.bench.kill_database()
    await asyncio.sleep(1)
    await round.bench.repair()


async def poison(round: Round, runs: int) -> None:
    """F59: three agents die of one run before anything is started; it is parked, and the queue goes on."""
    run = (await round.submit(1, seconds=0.2))[0]
    for _ in range(3):
        agent = round.agent(How(crash="place.before"))
        round.note_missed(await round.bench.until(lambda: not agent.lives, WAIT_S), "place.before was not reached")  # noqa: B023 - awaited in the loop
    round.change(run, parked=True)
    await round.submit(runs, seconds=0.2)


async def lost_engine_answers(round: Round, runs: int) -> None:
    """F15: the engine creates, starts, stops and removes containers, and its answer is lost."""
    for what in ("create", "start", "wait", "stop"):
        rule = Rule(rf"POST .*/containers/.*{what}", "drop", times=round.bench.random.randint(1, 3))
        round.bench.engine.rules.append(rule)
    round.bench.engine.rules.append(Rule(r"DELETE .*/containers/", "drop", times=2))
    round.agent()
    await round.submit(runs, seconds=0.5)
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)


async def engine_away(how: str, round: Round, runs: int) -> None:
    """F35, F37: the agent cannot reach the engine while containers run and end."""
    await _working(round, runs, 4)
    round.bench.engine.go_down("silent" if how == "silent" else "refuse")
    await round.bench.until(lambda: len(round.finished()) >= runs, WAIT_S)
    await asyncio.sleep(round.bench.outage_s)
