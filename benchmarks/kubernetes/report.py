"""The measured figures as one document, and as the table in benchmarks/RESULTS.md."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from benchmarks.report import machine, machine_line, write_section

_TITLES = {
    "plain": "plain `kubectl create job`",
    "stock": "stock prefect-kubernetes worker",
    "tuned": "stock, `PREFECT_WORKER_QUERY_SECONDS=1`",
    "ours": "Launch Jobs",
}
_OVER_S, _FASTER, _MEMORY_MB = 0.7, 5.0, 200.0
_COLUMNS = (
    "| | first line, s | pod running, s | completed, s | {burst} at once: running, s | completed, s | "
    "Prefect API calls a run | server CPU-s a run | Kubernetes requests a run | agent MB |"
)


def document(found: dict[str, Any], sizes: dict[str, int], version: str) -> dict[str, Any]:
    """What `--json` prints: goals, ratios (stock's time over ours), all figures."""
    times = {name: found[name]["times"] for name in _TITLES if name in found}
    return {
        "goals": _goals(times, found.get("memory")),
        "ratios": _ratios(times),
        "contenders": {name: found[name] for name in _TITLES if name in found},
        "memory": found.get("memory"),
        "machine": {
            **machine(),
            "kubernetes": version,
            "prefect-kubernetes": importlib.metadata.version("prefect-kubernetes"),
        },
        "sizes": sizes,
    }


def _goals(times: dict[str, dict[str, Any]], memory: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Each with what was found, where it was measured."""
    goals: dict[str, dict[str, Any]] = {}
    if times.keys() >= {"plain", "ours"}:
        for name in ("running_s", "completed_s"):
            over = round(times["ours"][name] - times["plain"][name], 3)
            goals[f"over_plain_{name}"] = {"most": _OVER_S, "found": over, "met": over <= _OVER_S}
    if times.keys() >= {"stock", "ours"}:
        faster = round(times["stock"]["completed_s"] / times["ours"]["completed_s"], 2)
        goals["times_faster_than_stock"] = {"least": _FASTER, "found": faster, "met": faster >= _FASTER}
    if memory:
        at_work = memory["at_work"]
        goals[f"memory_mb_with_{memory['runs']}"] = {"most": _MEMORY_MB, "found": at_work, "met": at_work < _MEMORY_MB}
    return goals


def _ratios(times: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The others' times over ours."""
    return {
        f"{other}_{name.removesuffix('_s')}": round(times[other][name] / times["ours"][name], 2)
        for other in ("stock", "tuned", "plain")
        for name in ("first_line_s", "running_s", "completed_s", "burst_running_s", "burst_s")
        if other in times and "ours" in times
    }


def write_table(report: dict[str, Any]) -> None:
    """Write the part of benchmarks/RESULTS.md on Kubernetes."""
    write_section("kubernetes", table(report))


def table(report: dict[str, Any]) -> str:
    """All that was measured as Markdown."""
    rows = [_row(name, found) for name, found in report["contenders"].items()]
    about, sizes, memory = report["machine"], report["sizes"], report["memory"]
    ratios, machine_is = report["ratios"], machine_line(report["machine"], "python -m benchmarks.kubernetes")
    goals = "; ".join(f"{name} {_goal(goal)}" for name, goal in report["goals"].items())
    return "\n".join(
        [
            "## kubernetes: from submit to the end of a no-op job on a cluster",
            "",
            f"Medians of {sizes['runs']} runs one at a time; then {sizes['burst']} submitted at once, until the last. "
            "“Running” is when the API server says that the pod's program has started; a kubelet looks once a second. "
            "“Completed” is what Prefect says, of plain kubectl what the Job says. Calls and CPU (Prefect server and "
            "PostgreSQL): one at a time / at once. Kubernetes requests are the agent's own, of 5 runs at once.",
            "",
            _COLUMNS.format(burst=sizes["burst"]),
            "|" + "---|" * 10,
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"**Stock over ours**: one at a time, completed {ratios['stock_completed']} (tuned "
            f"{ratios['tuned_completed']}), running {ratios['stock_running']} (tuned {ratios['tuned_running']}); at "
            f"once {ratios['stock_burst']} (tuned {ratios['tuned_burst']}). **Our agent's memory**: {memory['idle']} "
            f"MB idle, {memory['at_work']} MB with {memory['runs']} sleeping runs. **Goals**: {goals}.",
            "",
            f"Kubernetes {about['kubernetes']}, two nodes on one machine (docs/kubernetes-tests.md); "
            f"prefect-kubernetes {about['prefect-kubernetes']}. {machine_is}",
        ]
    )


def _row(name: str, found: dict[str, Any]) -> list[str]:
    times = found["times"]
    columns = ("first_line_s", "running_s", "completed_s", "burst_running_s", "burst_s")
    used = [
        f"{found['one'][key]:g} / {found['burst'][key]:g}" if found["one"] else ""
        for key in ("api_calls", "server_cpu_s")
    ]
    requests = f"{found['requests']['run']:g}" if found["requests"] else ""
    memory = f"{found['agent_mb']:g}" if found["agent_mb"] else ""
    return [_TITLES[name], *(f"{times[column]:g}" for column in columns), *used, requests, memory]


def _goal(goal: dict[str, Any]) -> str:
    limit = f"at most {goal['most']:g}" if "most" in goal else f"at least {goal['least']:g}"
    return f"{goal['found']:g} ({limit}{'' if goal['met'] else ', missed'})"
