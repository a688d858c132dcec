"""How far a build is, read from the lines it writes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STEP = re.compile(r"(?:^Step |\[(?P<stage>[^]]*\s)?)(?P<number>\d+)/(?P<total>\d+)\b")
_IMAGE = re.compile(r"^Building \S+$")


@dataclass(frozen=True, slots=True)
class Step:
    """A step that begins, as BuildKit (`#7 [2/5] RUN …`) or the classic builder (`Step 2/5 : RUN …`) tells it.

    Attributes:
        number: counted from 1.
        total: how many its stage has.
        stage: the Dockerfile's stage; empty if it has no name.
    """

    number: int
    total: int
    stage: str = ""


def read_step(line: str) -> Step | None:
    """The step that a line of build output tells; None if it tells none."""
    found = _STEP.search(line)
    return Step(int(found["number"]), int(found["total"]), (found["stage"] or "").strip()) if found else None


@dataclass
class BuildProgress:
    """Adds the lines of one build up; a build may make several images of several stages.

    Attributes:
        step: the newest one.
        percent: of the steps known so far; it never falls.
    """

    step: Step | None = None
    percent: float = 0.0
    _images: int = 0
    _stages: dict[tuple[int, str], Step] = field(default_factory=dict[tuple[int, str], Step])

    def read(self, line: str) -> None:
        """Take the next line of the build."""
        if _IMAGE.match(line):
            self._images += 1
        if step := read_step(line):
            self.step = self._stages[self._images, step.stage] = step
            begun = sum(min(step.number, step.total) - 1 for step in self._stages.values())
            total = sum(step.total for step in self._stages.values())
            self.percent = max(self.percent, round(100 * begun / max(total, 1), 1))
