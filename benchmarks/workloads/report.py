"""What was found as one document, and as tables in docs/workloads.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import machine, machine_line, write_section

DOCUMENT = Path(__file__).parents[2] / "docs" / "workloads.md"
_TITLES = {
    "W2": "W2: no-op jobs submitted as fast as possible",
    "W3": "W3: jobs of 1 to 5 s of three users and three priorities, two slots",
    "W4": "W4: the agent is killed (`kill -9`) and started again 5 s later; then the server",
    "W8": "W8: a job floods its output, with lines of 1 MB, invalid UTF-8 and progress bars",
}


def document(found: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints."""
    return {"loads": found, "machine": machine()}


def write_table(report: dict[str, Any]) -> None:
    """Write the figures' part of docs/workloads.md."""
    write_section("workloads", table(report), DOCUMENT)


def table(report: dict[str, Any]) -> str:
    """A table a load."""
    parts = [_load(_TITLES[load], rows_of(found)) for load, found in report["loads"].items()]
    return "\n".join([*parts, machine_line(report["machine"], "python -m benchmarks.workloads")])


def rows_of(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A row a peer, or one for each of its rounds. Pure."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for peer, result in found.items():
        rounds = all(isinstance(value, dict) for value in result.values())
        rows += [(f"{peer}, {name}", one) for name, one in result.items()] if rounds else [(peer, result)]
    return rows


def _load(title: str, rows: list[tuple[str, dict[str, Any]]]) -> str:
    names = [*rows[0][1]]
    return "\n".join(
        [
            f"### {title}",
            "",
            "| | " + " | ".join(name.replace("_", " ") for name in names) + " |",
            "|---|" + "---|" * len(names),
            *(f"| {peer} | " + " | ".join(_cell(row.get(name)) for name in names) + " |" for peer, row in rows),
            "",
        ]
    )


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
