"""The parts of the benchmark: each of ours, and of the stock worker where it can do the thing at all."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.agent.adoption import adoption
from benchmarks.agent.burst import burst, submitted
from benchmarks.agent.calls import calls
from benchmarks.agent.cancel import Phase, cancels
from benchmarks.agent.leaving import leaving
from benchmarks.agent.memory import memory
from benchmarks.agent.sides import ours, stock
from benchmarks.watching import Watcher, watcher

if TYPE_CHECKING:
    from benchmarks.agent.sizes import Sizes
    from benchmarks.stage import Stage
    from launch_jobs.job import Frozen

_ADOPTION_LIMIT_S = 15.0
_SQLITE_SHARE = 5


@dataclass(frozen=True)
class Bench:
    """What parts measure with."""

    stage: Stage
    seen: Watcher
    sizes: Sizes
    sqlite: bool


async def measure(stage: Stage, sizes: Sizes, parts: list[str], *, sqlite: bool) -> dict[str, Any]:
    """Measure parts, one after the other: for each what was found of `ours` and of `stock`; and which `failed`."""
    found: dict[str, Any] = {}
    async with watcher(stage) as seen:
        for part in parts:
            print(f"Measuring {part}", file=sys.stderr)
            try:
                of_part = await _PARTS[part](Bench(stage, seen, sizes, sqlite))
            except Exception as error:  # noqa: BLE001 - the other parts are not lost with it
                found.setdefault("failed", {})[part] = f"{type(error).__name__}: {error}"
                print(f"{part}: {found['failed'][part]}", file=sys.stderr)
                continue
            found[part] = {name: result.model_dump(mode="json") for name, result in of_part.items()}
            print(json.dumps(found[part]), file=sys.stderr)
    return found


async def _memory(bench: Bench) -> dict[str, Frozen]:
    found: dict[str, Frozen] = {}
    side = await ours(bench.stage, "memory")
    found["ours"] = await memory(side, bench.stage, bench.seen, bench.sizes.memory)
    if bench.sizes.stock_memory:
        # A container without a flow: to its worker the same, and the machine bears a hundred.
        other = await stock(bench.stage, "memory", command="sleep 100000")
        found["stock"] = await memory(other, bench.stage, bench.seen, bench.sizes.stock_memory, told=False)
    return found


async def _burst(bench: Bench) -> dict[str, Frozen]:
    found: dict[str, Frozen] = {}
    sizes = bench.sizes
    count = sizes.burst // _SQLITE_SHARE if bench.sqlite else sizes.burst
    side = await ours(bench.stage, "burst", "process")
    more = 0 if bench.sqlite else sizes.growth
    found["ours"] = await burst(side, bench.stage, bench.seen, (count, sizes.clients), more=more)
    if sizes.stock_burst:
        # Its runs are only submitted: to run 500 takes it a quarter of an hour.
        other = await stock(bench.stage, "burst")
        found["stock"] = await submitted(other.client, bench.stage, (sizes.stock_burst, sizes.clients), lambda _: None)
    return found


async def _adoption(bench: Bench) -> dict[str, Frozen]:
    found: dict[str, Frozen] = {}
    side = await ours(bench.stage, "adoption")
    found["ours"] = await adoption(side, bench.stage, bench.seen, bench.sizes.adoption)
    if bench.sizes.stock_adoption:
        other = await stock(bench.stage, "adoption")
        found["stock"] = await adoption(
            other, bench.stage, bench.seen, bench.sizes.stock_adoption, patience_s=_ADOPTION_LIMIT_S
        )
    return found


async def _leaving(bench: Bench) -> dict[str, Frozen]:
    found: dict[str, Frozen] = {}
    found["ours"] = await leaving(await ours(bench.stage, "leaving"), bench.stage, bench.seen, bench.sizes.leaving)
    if bench.sizes.stock_leaving:
        other = await stock(bench.stage, "leaving")
        found["stock"] = await leaving(other, bench.stage, bench.seen, bench.sizes.stock_leaving)
    return found


async def _calls(bench: Bench) -> dict[str, Frozen]:
    """Both are idle at the same time: each is counted by a relay of its own."""
    sizes = bench.sizes
    side = await ours(bench.stage, "calls")
    measured = {"ours": calls(side, bench.stage, bench.seen, sizes.idle_s, sizes.calls)}
    if sizes.stock_calls:
        other = await stock(bench.stage, "calls")
        measured["stock"] = calls(other, bench.stage, bench.seen, sizes.idle_s, sizes.stock_calls)
    return dict(zip(measured, await asyncio.gather(*measured.values()), strict=True))


async def _cancel(bench: Bench) -> dict[str, Frozen]:
    """Both at the same time: they mostly wait."""
    sizes, stage, seen = bench.sizes, bench.stage, bench.seen
    phases: dict[Phase, int] = {"queued": sizes.cancel, "running": sizes.cancel, "stubborn": sizes.stubborn}
    measured = {"ours": cancels(await ours(stage, "cancel"), stage, seen, phases)}
    if sizes.stock_cancel:
        once = dict.fromkeys(phases, sizes.stock_cancel)
        measured["stock"] = cancels(await stock(stage, "cancel"), stage, seen, once)
    return dict(zip(measured, await asyncio.gather(*measured.values()), strict=True))


_PARTS: dict[str, Callable[[Bench], Awaitable[dict[str, Frozen]]]] = {
    "memory": _memory,
    "burst": _burst,
    "adoption": _adoption,
    "leaving": _leaving,
    "calls": _calls,
    "cancel": _cancel,
}
