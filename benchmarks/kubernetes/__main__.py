"""`python -m benchmarks.kubernetes [--json] [--short] [--runs N] [--burst N] [--asleep N] [--only NAME]…`.

Measures on the cluster of KUBECONFIG: `eval "$(scripts/cluster env)"`. A whole measurement, with the default numbers,
is kept in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import Any

from benchmarks.kubernetes.space import check_cluster, ensure_image, host_for_pods, space
from benchmarks.stage import STOCK_IMAGE, Stage, ensure_stock_image, staged

_NAMES = ("plain", "ours", "stock", "tuned", "memory")
_WHOLE = {"runs": 10, "burst": 20, "asleep": 200}
_SHORT = {"runs": 2, "burst": 3, "asleep": 5}
_IDLE_S, _COUNTED = 20.0, 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kubernetes", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument(
        "--short", action="store_true", help="small numbers, no stock worker: that it measures, not what"
    )
    parser.add_argument("--runs", type=int, help="runs one at a time (default 10)")
    parser.add_argument("--burst", type=int, help="runs at once (default 20)")
    parser.add_argument("--asleep", type=int, help="sleeping runs for our agent's memory (default 200)")
    parser.add_argument("--only", action="append", choices=_NAMES, help="measure only these")
    return parser.parse_args()


class _Plan:
    """What is measured: numbers and names."""

    def __init__(self, options: argparse.Namespace) -> None:
        sizes = _SHORT if options.short else _WHOLE
        given = {name: getattr(options, name) for name in sizes}
        self.sizes = {name: sizes[name] if given[name] is None else int(given[name]) for name in sizes}
        usual = ("plain", "ours", "memory") if options.short else _NAMES
        self.names: tuple[str, ...] = tuple(options.only or usual)
        self.is_short = bool(options.short)
        self.is_whole = not self.is_short and self.sizes == _WHOLE and self.names == _NAMES

    @property
    def has_stock(self) -> bool:
        """Whether the stock worker takes part."""
        return bool({"stock", "tuned"}.intersection(self.names))


async def _measure(stage: Stage, plan: _Plan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in plan.names:
        print(f"Measuring {name}", file=sys.stderr)
        found[name] = await _one(stage, plan, name)
        print(json.dumps(found[name]), file=sys.stderr)
    return found


async def _one(stage: Stage, plan: _Plan, name: str) -> dict[str, Any]:
    # Imported now: Prefect reads its settings from the environment that the stage has made.
    from benchmarks.kubernetes.contenders import ours, stock
    from benchmarks.kubernetes.measure import count_requests, measure, plain
    from benchmarks.kubernetes.memory import memory

    numbers = plan.sizes["runs"], plan.sizes["burst"]
    with space(stage.queue(name), is_awaited=not plan.is_short) as room:
        if name == "plain":
            return (await plain(room, *numbers)).model_dump(mode="json")
        if name == "memory":
            return (await memory(stage, room, plan.sizes["asleep"])).model_dump(mode="json")
        tuned = {"PREFECT_WORKER_QUERY_SECONDS": "1"} if name == "tuned" else {}
        made = ours(stage, room.name) if name == "ours" else stock(stage, name, room.name, host_for_pods(), **tuned)
        async with made as contender:
            result = await measure(contender, stage, room, *numbers)
            requests = None
            try:
                requests = await count_requests(contender, stage, _IDLE_S, _COUNTED) if plan.is_whole else None
            except Exception as error:  # noqa: BLE001 - the times are not lost with it
                print(f"The requests of {name} were not counted: {error!r}", file=sys.stderr)
        return result.model_copy(update={"requests": requests}).model_dump(mode="json")


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    plan, version = _Plan(options), check_cluster()
    if plan.has_stock:
        ensure_stock_image()
        ensure_image(STOCK_IMAGE)
    with staged(host=host_for_pods() if plan.has_stock else None) as stage:
        found = asyncio.run(_measure(stage, plan))
    from benchmarks.kubernetes.report import document, table, write_table

    report = document(found, plan.sizes, version)
    print(json.dumps(report, indent=2) if options.json or not plan.is_whole else table(report))
    if plan.is_whole:
        write_table(report)


if __name__ == "__main__":
    main()
