"""Whether a kernel ran what its notebook's file says. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from launch_jobs.capture.notebook import CodeCell


def unsaved_cell(cells: Sequence[CodeCell], executed: Sequence[str]) -> str | None:
    """The latest code that a kernel ran and that the saved notebook does not have; None if what counts is saved.

    The cell that runs now must be saved. Going back from it, every cell that the kernel was given must be, until all
    saved cells above it have been met: what ran before that is an older state of the notebook, which nobody minds.
    Saved cells below it do not count: they have yet to run.
    """
    ran = [text.strip() for text in executed]
    saved = [cell.text.strip() for cell in cells]
    if not ran or ran[-1] not in saved:
        return ran[-1] if ran else ""
    left = set(saved[: saved.index(ran[-1])])
    for text in reversed(ran):
        if text not in saved:
            return text
        left.discard(text)
        if not left:
            return None
    return None
