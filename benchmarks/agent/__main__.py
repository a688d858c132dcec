"""`python -m benchmarks.agent [--json] [--short] [--only PART]… [--alone]`: measure and print.

A whole measurement is kept in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

from benchmarks.agent.sizes import PARTS, SHORT, WHOLE
from benchmarks.stage import ensure_stock_image, staged


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument("--short", action="store_true", help="small numbers, ours alone: that it measures, not what")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only these parts")
    parser.add_argument("--alone", action="store_true", help="measure ours alone")
    parser.add_argument("--sqlite", action="store_true", help="let the server's database be SQLite, and burst less")
    return parser.parse_args()


def _measured(options: argparse.Namespace, parts: list[str]) -> dict[str, Any]:
    sizes = SHORT if options.short else WHOLE
    if options.alone:
        sizes = sizes.alone()
    if any(getattr(sizes, f"stock_{part}", 0) for part in parts) and not options.sqlite:
        ensure_stock_image()
    with staged(sqlite=options.sqlite) as stage:
        # Imported now: Prefect reads its settings from the environment that the stage has made.
        from benchmarks.agent.parts import measure

        return asyncio.run(measure(stage, sizes, parts, sqlite=options.sqlite))


def _on_sqlite(options: argparse.Namespace) -> dict[str, Any]:
    """The burst again, with a server on SQLite: by another process, since Prefect's settings are read once in one."""
    command = [sys.executable, "-m", "benchmarks.agent", "--json", "--sqlite", "--only", "burst", "--alone"]
    done = subprocess.run([*command, *(["--short"] if options.short else [])], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["parts"]["burst"]


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parts: list[str] = options.only or [part for part in PARTS if part != "sqlite" or not options.short]
    here = [part for part in parts if part != "sqlite"]
    found = _measured(options, here) if here else {}
    if "sqlite" in parts:
        found["sqlite"] = _on_sqlite(options)
    from benchmarks.agent.report import document, table, write_table

    report = document(found, options)
    print(json.dumps(report, indent=2) if options.json else table(report))
    if report["failed"]:
        sys.exit(1)
    if not (options.only or options.short or options.alone or options.sqlite):
        write_table(report)


if __name__ == "__main__":
    main()
