"""Whether a kernel ran what its notebook's file says. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from launch_jobs.capture.notebook import CodeCell

_SIMILAR = 0.5


def unsaved_cell(cells: Sequence[CodeCell], executed: Sequence[str]) -> str | None:
    """The latest code that a kernel ran and that the saved notebook does not have; None if what counts is saved.

    The cell that runs now must be saved. Going back from it, so must be every cell that the kernel was given, until all
    saved cells above it have been met. An older state of a cell does not count: the saved cell that is most like it ran
    later. Saved cells below have yet to run.
    """
    ran = [text.strip() for text in executed]
    saved = [cell.text.strip() for cell in cells]
    if not ran or ran[-1] not in saved:
        return ran[-1] if ran else ""
    left = set(saved[: saved.index(ran[-1])])
    later: set[str] = set()
    for text in reversed(ran):
        if text in saved:
            later.add(text)
        elif not later.intersection(difflib.get_close_matches(text, saved, n=1, cutoff=_SIMILAR)):
            return text
        left.discard(text)
        if not left:
            return None
    return None
