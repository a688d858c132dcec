"""`python -m benchmarks.dispatch [--json] [--runs N] [--burst N] [--only NAME]…`: measure and print.

A whole measurement, with the default numbers, is kept in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import Any

from benchmarks.stage import Stage, ensure_stock_image, staged

_NAMES = ("stock", "tuned", "ours")
_RUNS, _BURST = 10, 20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatch", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument("--runs", type=int, default=_RUNS, help="runs one at a time (default %(default)s)")
    parser.add_argument("--burst", type=int, default=_BURST, help="runs at once (default %(default)s)")
    parser.add_argument("--only", action="append", choices=_NAMES, help="measure only these; no ratios")
    return parser.parse_args()


async def _measure(stage: Stage, options: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    # Imported now: Prefect reads its settings from the environment that the stage has made.
    from benchmarks.dispatch.contenders import ours, stock
    from benchmarks.dispatch.measure import measure, plain

    makers = {
        "ours": lambda: ours(stage),
        "stock": lambda: stock(stage, "stock"),
        "tuned": lambda: stock(stage, "tuned", PREFECT_WORKER_QUERY_SECONDS="1"),
    }
    found: dict[str, Any] = {"plain": await asyncio.to_thread(plain, options.runs, options.burst)}
    for name in names:
        print(f"Measuring {name}", file=sys.stderr)
        async with makers[name]() as contender:
            result = await measure(contender, stage, options.runs, options.burst)
        found[name] = result.model_dump(mode="json")
    return found


def _leave(number: int, _: object) -> None:
    """End by way of everything that cleans up."""
    sys.exit(128 + number)


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _leave)
    names: list[str] = options.only or [*_NAMES]
    if {"stock", "tuned"} & set(names):
        ensure_stock_image()
    with staged() as stage:
        found = asyncio.run(_measure(stage, options, names))
    from benchmarks.dispatch.report import document, table, write_table

    report = document(found, options)
    print(json.dumps(report, indent=2) if options.json or options.only else table(report))
    if (options.only, options.runs, options.burst) == (None, _RUNS, _BURST):
        write_table(report)


if __name__ == "__main__":
    main()
