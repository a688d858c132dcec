"""What a capture is doing, as a bar on a terminal's stderr if it lasts. Cheap to import: a program waits for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launch_jobs.cli.output import console

if TYPE_CHECKING:
    from rich.progress import Progress

_LATE_S = 1.0


@contextmanager
def capture_bar(steps: int | None = None) -> Generator[Callable[[str], None]]:
    """Take the steps of a capture: on a terminal a bar, if they last; with an empty step it is gone until the next."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = _LateBar(steps)
    try:
        yield bar.say
    finally:
        bar.hide()


class _LateBar:
    """A bar that comes only after a moment, which most captures do not last."""

    def __init__(self, steps: int | None) -> None:
        self._steps, self._done, self._step = steps, 0, ""
        self._bar: Progress | None = None
        self._timer: threading.Timer | None = None

    def say(self, step: str) -> None:
        if not step:
            self.hide()
            return
        self._done, self._step = self._done + bool(self._step), step
        if self._timer is None:
            self._timer = threading.Timer(_LATE_S, self._show)
            self._timer.daemon = True
            self._timer.start()
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._done, description=step)

    def hide(self) -> None:
        """Away with it, and with the thread that would show it: a program is about to have the terminal."""
        if self._timer:
            self._timer.cancel()
            self._timer.join()
        if self._bar:
            self._bar.stop()
        self._done, self._step, self._bar, self._timer = 0, "", None, None

    def _show(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
        bar = Progress(*columns, console=console(err=True), transient=True)
        task = bar.add_task("", total=self._steps)
        bar.start()
        self._bar = bar
        bar.update(task, completed=self._done, description=self._step)  # whatever was said meanwhile
