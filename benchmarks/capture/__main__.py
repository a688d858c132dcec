"""`python -m benchmarks.capture [--json] [--rounds N] [--pairs N] [--times N] [--files N] [--dirty N]`.

Measure and print. A whole measurement, with the default numbers, takes twelve minutes and is kept in
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from benchmarks.capture.events import event_costs, events_of_training
from benchmarks.capture.programs import stage
from benchmarks.capture.report import Measured, document, table
from benchmarks.capture.repository import make_repository, measure_repository
from benchmarks.capture.tracking import measure_pairs
from benchmarks.report import write_section

_DEFAULTS = {"rounds": 150, "short_rounds": 6, "pairs": 12, "times": 3, "files": 10_000, "dirty": 200}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else on stdout")
    parser.add_argument("--rounds", type=int, help="rounds of the long training script; 5 take a second")
    parser.add_argument("--short-rounds", type=int, help="rounds of the short one (default %(default)s)")
    parser.add_argument("--pairs", type=int, help="pairs of each short program (default %(default)s; `pass`: 3 times)")
    parser.add_argument("--times", type=int, help="whole captures of the repository (default %(default)s)")
    parser.add_argument("--files", type=int, help="files of the repository (default %(default)s)")
    parser.add_argument("--dirty", type=int, help="changed files of the repository (default %(default)s)")
    parser.set_defaults(**_DEFAULTS)
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> Measured:
    with stage() as (folder, python):
        project = folder / "project"
        programs = {
            name: measure_pairs(python, _say(project / f"{program}.py", name), arguments, pairs)
            for name, program, arguments, pairs in (
                ("nothing", "nothing", [], 3 * options.pairs),
                ("imports", "imports", [], options.pairs),
                ("train", "train", ["--rounds", str(options.short_rounds)], options.pairs),
                ("long", "train", ["--rounds", str(options.rounds)], max(2 * options.pairs // 3, 1)),
            )
        }
        costs = event_costs(python, _say(project, "events"), max(options.pairs // 2, 1))
        events = events_of_training(python, project, options.rounds)
        make_repository(_say(folder / "repository", "repository"), options.files, options.dirty)
        repository = measure_repository(folder / "repository", python, options.times, options.pairs)
    return Measured(programs, costs, events, repository)


def _say(path: Path, what: str) -> Path:
    print(f"Measuring {what}", file=sys.stderr)
    return path


def main() -> None:
    """Measure and report; nothing is left, however it ends."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    report = document(_measure(options), options)
    print(json.dumps(report, indent=2) if options.json else table(report))
    if all(getattr(options, name) == value for name, value in _DEFAULTS.items()):
        write_section("capture", table(report))


if __name__ == "__main__":
    main()
