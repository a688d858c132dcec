"""`python -m benchmarks.capture [--json] [--rounds N] [--times N] [--files N] [--dirty N]`: measure and print.

A whole measurement, with the default numbers, is kept in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import Any

from benchmarks.capture.programs import stage
from benchmarks.capture.report import document, table, write_table
from benchmarks.capture.repository import make_repository, measure_repository
from benchmarks.capture.tracking import measure_tracking

_DEFAULTS = {"rounds": 120, "times": 5, "files": 10_000, "dirty": 200}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument("--rounds", type=int, help="rounds of the training script; 4 take a second")
    parser.add_argument("--times", type=int, help="repetitions (default %(default)s); the training script has 3")
    parser.add_argument("--files", type=int, help="files of the repository (default %(default)s)")
    parser.add_argument("--dirty", type=int, help="changed files of the repository (default %(default)s)")
    parser.set_defaults(**_DEFAULTS)
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with stage() as (folder, python):
        for name, arguments, times in (
            ("nothing", [], 4 * options.times),
            ("imports", [], options.times),
            ("train", ["--rounds", str(options.rounds)], min(3, options.times)),
        ):
            print(f"Measuring the program {name!r}", file=sys.stderr)
            program = folder / "project" / f"{name}.py"
            found[name] = measure_tracking(python, program, arguments, times)
        print("Measuring the repository", file=sys.stderr)
        make_repository(folder / "repository", options.files, options.dirty)
        found["repository"] = measure_repository(folder / "repository", python, options.times)
    return found


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    report = document(_measure(options), options)
    print(json.dumps(report, indent=2) if options.json else table(report))
    if all(getattr(options, name) == value for name, value in _DEFAULTS.items()):
        write_table(report)


if __name__ == "__main__":
    main()
