"""The loads W2, W3 and W4 of PEERS 5.4, on any peer."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.workloads.peers import PRIORITIES, Peer
from benchmarks.workloads.witness import inversions, jain, judged, seen

_LIMIT_S = 600.0
_USERS = 3
_SLOTS = 2
_AWAY_S = 5.0
_LOOK_S = 0.2


async def many(peer: Peer, folder: Path, count: int, slots: int) -> dict[str, Any]:
    """W2: no-op jobs, submitted as fast as one client can while an agent serves."""
    file = folder / "many"
    await peer.make()
    with peer.served(slots):
        first = await peer.submit([str(folder / "warm"), "0", "0"])
        await _until(lambda: _are_over(peer, [first]), _LIMIT_S)
        begin = time.time()
        jobs = [await peer.submit([str(file), str(number), "0"]) for number in range(count)]
        submitted = time.time()
        await _until(lambda: _are_over(peer, jobs), _LIMIT_S)
    found = seen(file)
    last = max(found.begins.values(), default=begin) - begin
    return {
        "jobs": count,
        "slots": slots,
        "submit_s": round(submitted - begin, 2),
        "last_start_s": round(last, 2),
        "jobs_per_s": round(len(found.begins) / last, 2) if last else 0.0,
        "inversions": inversions(found.begins),
        "not_begun": count - len(found.begins),
        "doubled": len(found.doubled),
    }


async def priorities(peer: Peer, folder: Path, count: int) -> dict[str, Any]:
    """W3: jobs of 1 to 5 s of three users and three priorities, all submitted before two slots open."""
    file, random = folder / "priorities", Random(3)
    seconds = [round(random.uniform(1, 5), 1) for _ in range(count)]
    rank = [random.randrange(len(PRIORITIES)) for _ in range(count)]
    await peer.make()
    jobs = [
        await peer.submit([str(file), str(number), str(seconds[number])], PRIORITIES[rank[number]])
        for number in range(count)
    ]
    begin = time.time()
    with peer.served(_SLOTS):
        await _until(lambda: _are_over(peer, jobs), _LIMIT_S)
    found = seen(file)
    makespan = max(found.ends.values()) - min(found.begins.values())
    waits = [[found.begins[job] - begin for job in found.begins if job % _USERS == user] for user in range(_USERS)]
    return {
        "jobs": count,
        "makespan_s": round(makespan, 1),
        "over_ideal": round(makespan / (sum(seconds) / _SLOTS), 3),
        "fairness_of_waits": round(jain([statistics.fmean(of_user) for of_user in waits]), 3),
        "priority_inversions": inversions(found.begins, rank),
        "not_begun": count - len(found.begins),
    }


async def deaths(
    peer: Peer, folder: Path, sizes: tuple[int, int, float], kill_server: Callable[[], Awaitable[None]] | None = None
) -> dict[str, Any]:
    """W4: some jobs run and others wait when the agent dies (or the server, with `kill_server`), for five seconds."""
    running, queued, seconds = sizes
    file = folder / "deaths"
    await peer.make()
    with peer.served(running) as agent:
        jobs = [await peer.submit([str(file), str(number), str(seconds)]) for number in range(running + queued)]
        await _until(lambda: _begun(file, running), _LIMIT_S)
        if kill_server:
            await kill_server()
            return await _after(peer, file, jobs, time.monotonic(), seconds)
        agent.kill()
        await asyncio.sleep(_AWAY_S)
    with peer.served(running):
        return await _after(peer, file, jobs, time.monotonic(), seconds)


async def _after(peer: Peer, file: Path, jobs: list[str], begin: float, seconds: float) -> dict[str, Any]:
    """What became of the jobs; those that wait for ever are not waited for longer than thrice their time, and 30 s."""
    is_over = await _until(lambda: _are_over(peer, jobs), 3 * seconds + 30)
    took, told, found = time.monotonic() - begin, await peer.ended(jobs), seen(file)
    return {
        "jobs": len(jobs),
        **judged(jobs, told, found),
        "all_right_s": round(took, 1) if is_over and not judged(jobs, told, found)["wrong"] else None,
    }


async def _are_over(peer: Peer, jobs: list[str]) -> bool:
    return len(await peer.ended(jobs)) == len(jobs)


async def _begun(file: Path, count: int) -> bool:
    return len(seen(file).begins) >= count


async def _until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Wait until something holds; False: not in time."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True
