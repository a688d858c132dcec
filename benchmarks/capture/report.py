"""The measured figures as one document, and as the table in benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import Any, NamedTuple

from benchmarks.capture.events import added_by_events
from benchmarks.capture.interval import Interval, verdict
from benchmarks.capture.tracking import Pairs

TITLES = {
    "nothing": "`pass`",
    "imports": "imports numpy, pandas, scikit-learn",
    "train": "trains with them, shortly",
    "long": "trains with them, long",
}


class Measured(NamedTuple):
    """All that was measured.

    Attributes:
        programs: each with and without the tracker.
        costs: nanoseconds that the tracker adds to an event, by kind.
        events: of the long program, by kind, but those of its imports.
        repository: as `measure_repository` gives it.
    """

    programs: dict[str, Pairs]
    costs: dict[str, Interval]
    events: dict[str, float]
    repository: dict[str, Any]


def document(found: Measured, options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: each goal with what was found, then all figures."""
    repository = found.repository
    long = long_program(found)
    goals = {
        "tracking_percent": verdict(3, long.times(100 / found.programs["long"].median("processor")), 2),
        "tracking_ms": verdict(150, long.times(1000), 1),
        "before_program_s": verdict(0.5, repository["before_s"], 3),
        "repository_ratio": verdict(3, repository["ratio"], 2),
    }
    return {
        "goals": goals,
        "programs": {name: pairs.figures() for name, pairs in found.programs.items()},
        "events": {
            "added_ns": {kind: cost.rounded(0) for kind, cost in found.costs.items()},
            "of_the_long_program": found.events,
            "long_program_added_ms": long.times(1000).rounded(1),
        },
        "repository": {name: one.rounded(3) if isinstance(one, Interval) else one for name, one in repository.items()},
        "machine": _machine(),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
    }


def long_program(found: Measured) -> Interval:
    """Seconds of processor time that the tracker adds to the long program: start, imports and end, and its events."""
    return found.programs["imports"].added("processor").plus(added_by_events(found.costs, found.events))


def _machine() -> dict[str, Any]:
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "git": version.split()[-1],
    }


def table(report: dict[str, Any]) -> str:
    """All measurements as Markdown."""
    return "\n".join(
        [
            "## capture: what tracking costs, and capturing a large dirty repository",
            "",
            "Each program with and without the tracker in turns; the median of the pairs' differences, in brackets "
            "where the true one lies with 95 % confidence (sign test).",
            "",
            "| program | pairs | elapsed, s | added, ms | processor, s | added, ms | added, % |",
            "|" + "---|" * 7,
            *(_row(title, report["programs"][name]) for name, title in TITLES.items()),
            "",
            _events_text(report),
            "",
            _repository_text(report),
            "",
            f"**Goals**: {'; '.join(_goal_text(name, goal) for name, goal in report['goals'].items())}.",
            "",
            _machine_text(report["machine"]),
        ]
    )


def _row(title: str, found: dict[str, Any]) -> str:
    cells: list[object] = [title, found["pairs"]]
    for kind in ("elapsed", "processor"):
        one = found[kind]
        low, high = one["interval_ms"]
        cells += [one["plain_s"], f"{one['added_ms']} ({low} … {high})"]
    return f"| {' | '.join(map(str, [*cells, found['processor']['added_percent']]))} |"


def _events_text(report: dict[str, Any]) -> str:
    costs, counts = report["events"]["added_ns"], report["events"]["of_the_long_program"]
    middle, low, high = report["events"]["long_program_added_ms"]
    return (
        "Runs of the long program differ by more than the tracker adds, so its cost is also counted: what the imports "
        f"alone add, and all later events. The opening of a file seen before costs "
        f"{costs['known_open'][0] / 1000:.2f} µs ({counts['known_open']:,.0f} times), of a new one "
        f"{costs['new_open'][0] / 1000:.2f} µs ({counts['new_open']:,.0f}), any other event "
        f"{costs['other'][0]:.0f} ns ({counts['other']:,.0f}): {middle} ms ({low} … {high}) in all."
    )


def _repository_text(report: dict[str, Any]) -> str:
    found, options = report["repository"], report["options"]
    git, before, processor, ratio = found["git"], found["before_s"], found["before_processor_s"], found["ratio"]
    return (
        f"A repository of {options['files']:,} files, {options['dirty']} of them changed; medians of {found['times']}. "
        f"git: status {git['status_s']} s, diff {git['diff_s']} s, checkout-index into an empty folder "
        f"{git['checkout_s']} s, hashing {git['hashing_s']} s: {git['total_s']} s. `launch run`: {found['total_s']} s "
        f"in all, {ratio[0]} times git's work. Until the program starts, of {found['starts']}: {before[0]} s "
        f"({before[1]} … {before[2]}), of which {processor[0]} s of processor time (that of `launch --version`: "
        f"{found['command_line_start_s']} s)."
    )


def _goal_text(name: str, goal: dict[str, Any]) -> str:
    low, high = goal["interval"]
    return f"{name} {goal['found']} ({low} … {high}; goal at most {goal['goal']}): {goal['verdict']}"


def _machine_text(machine: dict[str, Any]) -> str:
    return (
        f"{machine['date']}, {machine['cpus']} CPUs, {machine['system']}, load {machine['load']}; Python "
        f"{machine['python']}, git {machine['git']}. By `python -m benchmarks.capture`."
    )
