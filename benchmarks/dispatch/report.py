"""The measured figures as one document, and as the table in benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.report import machine, machine_line, write_section

_TITLES = {
    "plain": "plain `docker run --rm`",
    "stock": "stock prefect-docker worker",
    "tuned": "stock, `PREFECT_WORKER_QUERY_SECONDS=1`",
    "ours": "Launch Jobs",
}


def document(found: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: ratios first (stock's time over ours), then all figures."""
    ratios: dict[str, float] = {}
    ours = found.get("ours")
    if ours and "stock" in found:
        ratios["one"] = round(found["stock"]["one_completed_s"] / ours["one_completed_s"], 2)
        ratios["burst"] = round(ours["burst_runs_per_min"] / found["stock"]["burst_runs_per_min"], 2)
    if ours and "tuned" in found:
        ratios["one_tuned"] = round(found["tuned"]["one_completed_s"] / ours["one_completed_s"], 2)
        ratios["burst_tuned"] = round(ours["burst_runs_per_min"] / found["tuned"]["burst_runs_per_min"], 2)
    overhead = round(ours["one_completed_s"] - found["plain"]["one_completed_s"], 3) if ours else None
    return {
        "ratios": ratios,
        "overhead_s": overhead,
        "loop_longest_ms": _longest(ours) if ours else None,
        "contenders": found,
        "machine": machine(),
        "runs": options.runs,
        "burst": options.burst,
    }


def _longest(ours: dict[str, Any]) -> dict[str, float]:
    """The longest step of each loop once the agent serves."""
    return {name: max((step["ms"] for step in kept), default=0.0) for name, kept in ours["loop"]["serving"].items()}


def write_table(report: dict[str, Any]) -> None:
    """Write the part of benchmarks/RESULTS.md on dispatch."""
    write_section("dispatch", table(report))


def table(report: dict[str, Any]) -> str:
    """All contenders as Markdown; needs every one of them."""
    ratios = report["ratios"]
    rows: list[str] = []
    for name, title in _TITLES.items():
        found = report["contenders"][name]
        used = (
            [f"{found['one'][key]:g} / {found['burst'][key]:g}" for key in ("api_calls", "server_cpu_s")]
            if ("one" in found)
            else ["", ""]
        )
        per_min = found.get("burst_runs_per_min") or round(report["burst"] * 60 / found["burst_s"], 1)
        cells = [title, found["one_first_line_s"], found["one_completed_s"], found["burst_s"], per_min]
        rows.append(" | ".join(str(cell) for cell in [*cells, *used, found.get("agent_rss_mb", "")]))
    columns = (
        "| | first line, s | completed, s | {burst} at once, s | runs/min | API calls a run | server CPU-s a run "
        "| agent MB |"
    ).format(burst=report["burst"])
    return "\n".join(
        [
            "## dispatch: from submit to the end of a no-op job",
            "",
            f"Medians of {report['runs']} runs one at a time; then {report['burst']} submitted at once. Calls and CPU "
            "(Prefect server and PostgreSQL): one at a time / at once.",
            "",
            columns,
            "|" + "---|" * 8,
            *(f"| {row} |" for row in rows),
            "",
            f"**Stock over ours**: one at a time {ratios['one']} (tuned {ratios['one_tuned']}), runs/min at once "
            f"{ratios['burst']} (tuned {ratios['burst_tuned']}). Over plain `docker run`: {report['overhead_s']} s. "
            f"Longest step of the agent's loops: {max(report['loop_longest_ms'].values())} ms.",
            "",
            machine_line(report["machine"], "python -m benchmarks.dispatch"),
        ]
    )
