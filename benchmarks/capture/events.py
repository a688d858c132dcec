"""What the tracker costs an event, and how many events a program has: a long program's cost without its noise.

Two runs of a program of half a minute differ by more than what the tracker adds, on any machine. So the addition is
measured where it is all there is, one kind of event at a time, and multiplied; start and end are those of a short
program that imports the same packages.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.capture.interval import Interval
from benchmarks.capture.tracking import run

KINDS = ("other", "known_open", "new_open")
_SHORT, _LONGER = 2, 6


def event_costs(python: Path, project: Path, pairs: int) -> dict[str, Interval]:
    """Nanoseconds of processor time that the tracker adds to an event of each kind."""
    found: list[dict[str, float]] = []
    for number in range(pairs):
        both = {
            tracked: _answers(python, project, "COSTS", ["cost.py"], tracked=tracked)
            for tracked in ((False, True) if number % 2 else (True, False))
        }
        found.append({kind: both[True][kind] - both[False][kind] for kind in KINDS})
    return {kind: Interval.of([one[kind] for one in found]) for kind in KINDS}


def events_of_training(python: Path, project: Path, rounds: int) -> dict[str, float]:
    """Events of the training script in so many rounds, but those of its imports; of long ones by two short ones."""
    imports, few, more = (
        _answers(python, project, "COUNTS", ["count.py", *words], tracked=False)
        for words in (["imports.py"], *(["train.py", "--rounds", str(number)] for number in (_SHORT, _LONGER)))
    )
    later = {kind: (more[kind] - few[kind]) / (_LONGER - _SHORT) for kind in KINDS}
    return {kind: few[kind] - imports[kind] + later[kind] * (rounds - _SHORT) for kind in KINDS}


def added_by_events(costs: dict[str, Interval], counts: dict[str, float]) -> Interval:
    """Seconds that so many events of each kind add."""
    total = Interval(0, 0, 0)
    for kind in KINDS:
        total = total.plus(costs[kind].times(counts[kind] / 1e9))
    return total


def _answers(python: Path, project: Path, variable: str, words: list[str], *, tracked: bool) -> dict[str, Any]:
    with TemporaryDirectory(prefix="launch-bench-answers-") as folder:
        answer = Path(folder) / "answer.json"
        run([str(python), *words], project, tracked=tracked, given={variable: str(answer)})
        return json.loads(answer.read_text())
