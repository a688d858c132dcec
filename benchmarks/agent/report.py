"""The measured figures as one document, as goals that are met or not, and as the table in benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.report import machine, machine_line, write_section

_NAME = "agent"
_GOALS: dict[str, tuple[float, Callable[[dict[str, Any]], float | None]]] = {
    "idle_mb": (150, lambda parts: parts["memory"]["ours"]["idle"]),
    "at_work_mb": (150, lambda parts: parts["memory"]["ours"]["at_work"]),
    "growth_mb_per_1000": (1, lambda parts: _measured(parts["burst"]["ours"]["growth"], "per_1000")),
    "burst_lost": (0, lambda parts: parts["burst"]["ours"]["lost"]),
    "burst_errors": (0, lambda parts: len(parts["burst"]["ours"]["submits"]["errors"])),
    "sqlite_lost": (0, lambda parts: parts["sqlite"]["ours"]["lost"]),
    "sqlite_errors": (0, lambda parts: len(parts["sqlite"]["ours"]["submits"]["errors"])),
    "adoption_s": (5, lambda parts: parts["adoption"]["ours"]["all_s"]),
    "adoption_wrong_ends": (0, lambda parts: _wrong(parts["adoption"]["ours"])),
    "adoption_started_again": (0, lambda parts: parts["adoption"]["ours"]["started_again"]),
    "leaving_s": (5, lambda parts: parts["leaving"]["ours"]["exit_s"]),
    "cancel_early": (0, lambda parts: sum(one["early"] for one in parts["cancel"]["ours"]["phases"].values())),
    "cancel_stubborn_s": (13, lambda parts: parts["cancel"]["ours"]["phases"]["stubborn"]["gone_s"]),
}
"""By name: the most that it may be, and where it is found. A stubborn program has 10 s of grace, and 3."""


def _measured(found: dict[str, Any] | None, name: str) -> float:
    if not found or found[name] is None:
        raise KeyError(name)
    return float(found[name])


def _wrong(adoption: dict[str, Any]) -> int:
    return int(adoption["runs"] - adoption["let_go_right"] - adoption["killed_right"])


def document(found: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: goals first, then ratios (the stock worker's over ours), then all figures."""
    return {
        "goals": {name: goal for name in _GOALS if (goal := _goal(name, found))},
        "ratios": {name: ratio for name, ratio in _ratios(found) if ratio is not None},
        "failed": found.get("failed", {}),
        "parts": {name: part for name, part in found.items() if name != "failed"},
        "machine": machine(),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
    }


def _goal(name: str, found: dict[str, Any]) -> dict[str, Any] | None:
    most, read = _GOALS[name]
    try:
        value = read(found)
    except KeyError:  # that part was not measured
        return None
    return {"goal": most, "found": value, "met": value is not None and value <= most}


def _ratios(found: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name, part, keys in (
        ("idle_mb", "memory", ("idle",)),
        ("at_work_mb", "memory", ("at_work",)),
        ("calls_idle_minute", "calls", ("idle_minute",)),
        ("calls_run", "calls", ("run",)),
        ("leaving_s", "leaving", ("exit_s",)),
        ("cancel_queued_s", "cancel", ("phases", "queued", "told_s")),
        ("cancel_running_s", "cancel", ("phases", "running", "gone_s")),
        ("cancel_stubborn_s", "cancel", ("phases", "stubborn", "gone_s")),
    ):
        ours, stock = (_at(found, (part, side, *keys)) for side in ("ours", "stock"))
        yield name, round(stock / ours, 2) if ours and stock else None


def _at(found: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON
    return found  # pyright: ignore[reportUnknownVariableType] - as above


def write_table(report: dict[str, Any]) -> None:
    """Write the part of benchmarks/RESULTS.md on agents."""
    write_section(_NAME, table(report))


def table(report: dict[str, Any]) -> str:
    """What was measured as Markdown; parts that were not are left out."""
    rows = [row for part, make in _ROWS.items() if part in report["parts"] for row in make(report["parts"][part])]
    goals = "; ".join(
        f"{name} {goal['found']} (goal {goal['goal']}{'' if goal['met'] else ', missed'})"
        for name, goal in report["goals"].items()
    )
    ratios = ", ".join(f"{name} {ratio:g}" for name, ratio in report["ratios"].items())
    return "\n".join(
        [
            "## agent: what an agent costs, and what becomes of its runs when it dies",
            "",
            "| | Launch Jobs | stock prefect-docker worker |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"**Stock over ours**: {ratios or 'not measured'}. **Goals**: {goals}.",
            "",
            machine_line(report["machine"], "python -m benchmarks.agent"),
        ]
    )


Row = tuple[str, str, str]


def _both(part: dict[str, Any], title: str, text: Callable[[dict[str, Any]], str]) -> Row:
    ours, stock = part["ours"], part.get("stock")
    return title, text(ours), text(stock) if stock else ""


def _memory(part: dict[str, Any]) -> Iterator[Row]:
    yield _both(part, "memory, idle after a run", lambda side: f"{side['idle']:g} MB")
    yield _both(part, "memory, runs at work", _at_work)


def _at_work(side: dict[str, Any]) -> str:
    return f"{side['at_work']:g} MB, {side['threads']} threads ({side['runs']} runs)"


def _submits(submits: dict[str, Any]) -> str:
    answers = submits["answers"]
    again = answers.get("429", 0) + answers.get("503", 0)
    return (
        f"{submits['acknowledged']} in {submits['seconds']:g} s (median {submits['median_s']:g}, slowest "
        f"{submits['slowest_s']:g}), {again} answers 429 or 503, {len(submits['errors'])} errors told"
    )


def _burst(part: dict[str, Any]) -> Iterator[Row]:
    ours, stock = part["ours"], part.get("stock")
    yield f"{ours['submits']['asked']} submits", _submits(ours["submits"]), _submits(stock) if stock else ""
    ends = f"{ours['completed']} in {ours['ended_s']} s, {ours['otherwise']} ended otherwise, {ours['lost']} lost"
    yield "of these completed", ends, ""
    yield "the agent's most memory by then", f"{ours['peak_mb']:g} MB", ""
    growth = ours["growth"]
    if growth and growth["per_1000"] is not None:
        told = f"{growth['per_1000']:g} ± {growth['error']:g} MB; {growth['first']:g} → {growth['last']:g} MB"
        yield f"memory for 1,000 runs more (over {growth['runs']})", told, ""


def _sqlite(part: dict[str, Any]) -> Iterator[Row]:
    for title, *told in _burst(part):
        yield f"SQLite: {title}", told[0], told[1]


def _adoption(part: dict[str, Any]) -> Iterator[Row]:
    yield _both(part, "runs adopted after `kill -9`", lambda side: f"{side['adopted']} of {side['runs']}")
    yield _both(part, "all adopted after its start", _adopted)
    yield _both(part, "ends told right: their own", lambda side: f"{side['let_go_right']} of {side['let_go']}")
    yield _both(part, "… of killed containers", lambda side: f"{side['killed_right']} of {side['killed']}")
    yield _both(part, "started again", lambda side: str(side["started_again"]))


def _adopted(side: dict[str, Any]) -> str:
    if not side["all_s"]:
        return "never"
    return (
        f"{side['all_s']} s (it serves after {side['serves_s']}); {side['agent_cpu_s']} s of CPU, the server's "
        f"{side['server_cpu_s']}; {side['calls']} calls a run"
    )


def _leaving(part: dict[str, Any]) -> Iterator[Row]:
    title = f"SIGTERM to exit, {part['ours']['runs']} runs at work"
    yield _both(part, title, lambda side: f"{side['exit_s']} s, {side['containers']} of {side['runs']} containers stay")


def _calls(part: dict[str, Any]) -> Iterator[Row]:
    yield _both(part, "API calls in an idle minute", lambda side: f"{side['idle_minute']:g}")
    yield _both(part, "API calls a run, several at once", lambda side: f"{side['run']:g} ({side['runs']} runs)")


def _cancel(part: dict[str, Any]) -> Iterator[Row]:
    titles = {"queued": "cancel, queued", "running": "cancel, running", "stubborn": "cancel, ignores SIGTERM"}
    for phase, title in titles.items():
        ours, stock = (_at(part, (side, "phases", phase)) for side in ("ours", "stock"))
        if ours:
            yield title, _one_cancel(ours), _one_cancel(stock) if stock else ""


def _one_cancel(found: dict[str, Any]) -> str:
    gone, told = (
        f"{found[key]} s" if found[key] is not None else f"> {found['limit_s']:g} s" for key in ("gone_s", "told_s")
    )
    early = f", {found['early']} told too early" if found["early"] else ""
    return f"gone {gone}, told {told} ({found['state'].lower()}{early})"


_ROWS: dict[str, Callable[[dict[str, Any]], Iterator[Row]]] = {
    "memory": _memory,
    "burst": _burst,
    "sqlite": _sqlite,
    "adoption": _adoption,
    "leaving": _leaving,
    "calls": _calls,
    "cancel": _cancel,
}
