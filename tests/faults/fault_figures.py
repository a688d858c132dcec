"""What was ever played: a line a round in a file, and its totals. `python fault_figures.py FILE` prints them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Totals:
    """Of all rounds of one fault on one type of queue.

    Attributes:
        missed: rounds in which the fault could not be done, which count for nothing.
        violations: by invariant.
        longest: recovery, in seconds.
    """

    rounds: int = 0
    runs: int = 0
    missed: int = 0
    violations: Counter[str] = field(default_factory=Counter[str])
    longest: float = 0.0

    def add(self, line: dict[str, Any]) -> None:
        """Count one round."""
        self.missed += line["missed"]
        self.rounds += not line["missed"] and line["fault"] != "check"  # `launch check`, after the rounds
        self.runs += 0 if line["missed"] else line["runs"]
        self.violations += Counter(line["violations"])
        self.longest = max(self.longest, line["recovery"])


def keep(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Add a campaign's rounds."""
    with file.open("a") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def totals(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], Totals]:
    """By target (`process`, `docker`, `stock-process`, …) and fault. Pure."""
    found: dict[tuple[str, str], Totals] = {}
    for line in lines:
        found.setdefault((line["target"], line["fault"]), Totals()).add(line)
    return dict(sorted(found.items()))


def table(file: Path) -> str:
    """The totals in words."""
    found = totals(json.loads(line) for line in file.read_text().splitlines())
    rows = [
        f"{target:<14} {fault:<18} {one.rounds:>4} rounds {one.runs:>5} runs  {one.longest:>6.1f} s  "
        f"{', '.join(f'{name}: {number}' for name, number in sorted(one.violations.items())) or 'ok'}"
        + (f"  ({one.missed} missed)" if one.missed else "")
        for (target, fault), one in found.items()
    ]
    ours = [one for (target, _), one in found.items() if not target.startswith("stock")]
    broken = sum((one.violations for one in ours), Counter[str]())
    counted = ", ".join(f"{name}: {number}" for name, number in sorted(broken.items())) or "none"
    rounds, runs = sum(one.rounds for one in ours), sum(one.runs for one in ours)
    return "\n".join([*rows, f"ours: {rounds} rounds, {runs} runs; violations: {counted}"])


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
