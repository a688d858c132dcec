"""Which load is measured with which peer, and how large."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.stage import Stage
from benchmarks.watching import Watcher, watcher
from benchmarks.workloads.floods import flood_ours, flood_stock
from benchmarks.workloads.loads import deaths, many, priorities
from benchmarks.workloads.peers import Ours, Peer, Stock, TaskSpooler, task_spooler
from launch_jobs.job import Frozen
from launch_jobs.local import server
from launch_jobs.local.lifecycle import up

if TYPE_CHECKING:
    from collections.abc import Callable

_AWAY_S = 5.0


class Sizes(Frozen):
    """Numbers of jobs; the stock worker, which takes seconds for each, gets fewer.

    Attributes:
        many: no-op jobs of W2.
        stock_many: the stock worker's.
        priorities: jobs of W3.
        stock_priorities: the stock worker's.
        deaths: jobs of W4 that run and that wait, and the seconds that each takes.
        flood: lines of W8, and how many a second.
    """

    many: int = 200
    stock_many: int = 20
    priorities: int = 60
    stock_priorities: int = 20
    deaths: tuple[int, int, float] = (10, 20, 15.0)
    flood: tuple[int, int] = (200_000, 20_000)


WHOLE = Sizes()
SHORT = Sizes(many=6, stock_many=2, priorities=4, stock_priorities=2, deaths=(2, 2, 5.0), flood=(5_000, 5_000))


async def measure(stage: Stage, loads: list[str], peers: list[str], *, short: bool) -> dict[str, Any]:
    """For each load what was found of each peer, by the peer's name."""
    found: dict[str, Any] = {}
    async with watcher(stage) as seen:
        made = _peers(stage, seen, peers)
        for load in loads:
            for peer in made:
                print(f"Measuring {load}, {peer.name}", file=sys.stderr)
                result = await _LOADS[load](peer, stage, seen, SHORT if short else WHOLE)
                if result is not None:
                    print(json.dumps(result), file=sys.stderr)  # known, should a later one fail
                    found.setdefault(load, {})[peer.name] = result
    return found


def _peers(stage: Stage, seen: Watcher, names: list[str]) -> list[Peer]:
    peers: list[Peer] = []
    if "ours" in names:
        peers.append(Ours(stage, seen))
    if "stock" in names:
        peers.append(Stock(stage, seen))
    if "tsp" in names and (program := task_spooler(stage.settings.home / "task-spooler")):
        peers.append(TaskSpooler(stage, program))
    return peers


def _folder(stage: Stage) -> Path:
    folder = stage.settings.home / f"load-{uuid4().hex[:6]}"
    folder.mkdir()
    return folder


async def _many(peer: Peer, stage: Stage, _: Watcher, sizes: Sizes) -> Any:
    count = sizes.stock_many if isinstance(peer, Stock) else sizes.many
    return {f"{slots}": await many(peer, _folder(stage), count, slots) for slots in (1, 2)}


async def _priorities(peer: Peer, stage: Stage, _: Watcher, sizes: Sizes) -> Any:
    if not peer.has_priorities:
        return None
    count = sizes.stock_priorities if isinstance(peer, Stock) else sizes.priorities
    return await priorities(peer, _folder(stage), count)


async def _deaths(peer: Peer, stage: Stage, _: Watcher, sizes: Sizes) -> Any:
    found = {"agent": await deaths(peer, _folder(stage), sizes.deaths)}
    if not isinstance(peer, TaskSpooler):  # its agent is its server

        async def kill_server() -> None:
            for process in server.running(stage.settings):
                process.kill()
            await asyncio.sleep(_AWAY_S)
            again = stage.settings.model_copy(update={"port": stage.connection.port})
            await asyncio.to_thread(up, again, say=lambda _: None)

        found["server"] = await deaths(peer, _folder(stage), sizes.deaths, kill_server)
    return found


async def _flood(peer: Peer, stage: Stage, seen: Watcher, sizes: Sizes) -> Any:
    if isinstance(peer, TaskSpooler):
        return None  # a file takes the output; nobody is shown it
    return await (flood_ours if isinstance(peer, Ours) else flood_stock)(stage, seen, *sizes.flood)


_LOADS: dict[str, Callable[..., Any]] = {"W2": _many, "W3": _priorities, "W4": _deaths, "W8": _flood}
