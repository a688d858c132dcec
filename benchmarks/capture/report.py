"""The measured figures as one document, and as the table in benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parents[1] / "RESULTS.md"
_BEGIN, _END = "<!-- capture: begin -->", "<!-- capture: end -->"
_TITLES = {"nothing": "`pass`", "imports": "imports numpy, pandas, scikit-learn", "train": "trains with them"}


def document(found: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: ratios first, then each goal with what was found, then all figures."""
    ours, git, train = found["repository"]["launch_run"], found["repository"]["git"], found["train"]
    before = round(ours["before_program_s"] - found["repository"]["python_start_s"], 3)
    ratios = {
        "repository": round(ours["total_s"] / git["total_s"], 2),
        "before_program": round(before / git["total_s"], 2),
        **{f"tracked_{name}": round(1 + found[name]["processor"]["added_percent"] / 100, 4) for name in _TITLES},
    }
    added = [found[name]["processor"]["added_ms"] for name in _TITLES]
    goals = {
        "tracking_percent": {"goal": 3, "found": train["processor"]["added_percent"]},
        "tracking_ms": {"goal": 150, "found": max(added)},
        "before_program_s": {"goal": 0.5, "found": before},
        "repository_ratio": {"goal": 3, "found": ratios["repository"]},
    }
    return {
        "ratios": ratios,
        "goals": {name: {**goal, "met": goal["found"] <= goal["goal"]} for name, goal in goals.items()},
        **found,
        "machine": _machine(),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
    }


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


def write_table(report: dict[str, Any]) -> None:
    """Write the part of benchmarks/RESULTS.md on capture."""
    old = _RESULTS.read_text() if _RESULTS.exists() else "# Results of the benchmarks\n"
    if _BEGIN not in old:
        old = f"{old.rstrip()}\n\n{_BEGIN}\n{_END}\n"
    head, _, rest = old.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    _RESULTS.write_text(f"{head}{_BEGIN}\n{table(report)}\n{_END}{tail}")


def table(report: dict[str, Any]) -> str:
    """Both measurements as Markdown."""
    machine, options, ours, git = (
        report["machine"],
        report["options"],
        report["repository"]["launch_run"],
        report["repository"]["git"],
    )
    goals = "; ".join(
        f"{name} {goal['found']} (goal {goal['goal']}{'' if goal['met'] else ', missed'})"
        for name, goal in report["goals"].items()
    )
    return "\n".join(
        [
            "## capture: what tracking costs, and capturing a large dirty repository",
            "",
            "Each program with and without the tracker in turns; the median of the pairs' differences.",
            "",
            "| program | elapsed, s | added, ms | processor, s | added, ms | added, % |",
            "|" + "---|" * 6,
            *(_row(title, report[name]) for name, title in _TITLES.items()),
            "",
            f"A repository of {options['files']:,} files, {options['dirty']} of them changed; medians of "
            f"{options['times']}. git: status {git['status_s']} s, diff {git['diff_s']} s, checkout-index into an "
            f"empty folder {git['checkout_s']} s, hashing {git['hashing_s']} s: {git['total_s']} s. `launch run`: "
            f"{ours['before_program_s']} s until the program's first line (Python's own start: "
            f"{report['repository']['python_start_s']} s, that of `launch`: "
            f"{report['repository']['command_line_start_s']} s), {ours['total_s']} s in all: "
            f"{report['ratios']['repository']} times git's work.",
            "",
            f"**Goals**: {goals}.",
            "",
            f"{machine['date']}, {machine['cpus']} CPUs, {machine['system']}, load {machine['load']}; Python "
            f"{machine['python']}, git {machine['git']}. By `python -m benchmarks.capture`.",
        ]
    )


def _row(title: str, found: dict[str, Any]) -> str:
    elapsed, processor = found["elapsed"], found["processor"]
    cells = [elapsed["plain_s"], elapsed["added_ms"], *(processor[k] for k in ("plain_s", "added_ms", "added_percent"))]
    return f"| {title} | " + " | ".join(map(str, cells)) + " |"
