"""`python -m benchmarks.workloads [--json] [--short] [--only LOAD]… [--peer PEER]…`: measure and print.

A whole measurement is kept in docs/workloads.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import Any

from benchmarks.stage import staged

LOADS = ("W2", "W3", "W4", "W8")
_PEERS = ("ours", "stock", "tsp")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workloads", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument("--short", action="store_true", help="small numbers: that it measures, not what")
    parser.add_argument("--only", action="append", choices=LOADS, help="measure only these loads")
    parser.add_argument("--peer", action="append", choices=_PEERS, help="measure only these peers")
    return parser.parse_args()


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with staged() as stage:
        # Imported now: Prefect reads its settings from the environment that the stage has made.
        from benchmarks.workloads.measure import measure

        found: dict[str, Any] = asyncio.run(
            measure(stage, options.only or [*LOADS], options.peer or [*_PEERS], short=options.short)
        )
    from benchmarks.workloads.report import document, table, write_table

    report = document(found)
    print(json.dumps(report, indent=2) if options.json else table(report))
    if not (options.only or options.peer or options.short):
        write_table(report)


if __name__ == "__main__":
    main()
