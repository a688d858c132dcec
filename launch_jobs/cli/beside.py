"""The process beside a script or notebook that `launch_jobs.track` tracks: takes its source, and makes the job."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from launch_jobs.capture.process import Ended
from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.cli.output import progress, warn
from launch_jobs.cli.session import run_store
from launch_jobs.errors import LaunchError, Refused

_GONE = 255
"""The exit code of a script that ended without a word, by a signal or `os._exit`: nobody but its parent knows it."""

_UNSEEN = (
    "Tracked from inside, so the exit code only tells whether an exception ended it (1), a signal or os._exit (255), "
    "or neither (0); one given to sys.exit is not known."
)
_LIVE = (
    "Captured in a live kernel, from the saved notebook; the exit code only tells whether an exception ended the "
    "tracked piece (1) or not (0), and files that it wrote were not seen."
)

_OURS = ("PYTHONPATH", "LAUNCH_TRACK_DIR", "LAUNCH_TRACK_ROOT", "LAUNCH_TRACK_PATH_UNSET")


class Script(TypedDict):
    """What the script says of itself; a notebook's kernel, which file it runs and the cells that it was given."""

    command: list[str]
    pid: int
    name: str | None
    notebook: NotRequired[str]
    executed: NotRequired[list[str]]


def main() -> None:
    """Serve the script or kernel that started this process."""
    script: Script = json.loads(sys.stdin.readline())
    try:
        ended = _track(script)
    except LaunchError as error:
        warn(f"launch_jobs.track does not capture this run: {error}")
        return
    if ended.problem:
        warn(ended.problem)
    elif ended.version:
        progress(f"Captured {ended.version.label} ({ended.version.digest[:19]})")


def _track(script: Script) -> TrackedRun:
    """Make the job of a program that runs already, once it says that it is over.

    Raises:
        LaunchError: what `run_tracked` raises; a notebook has changes that are not saved.
    """
    file = Path(script["notebook"]) if "notebook" in script else None

    def wait(_command: Sequence[str], _directory: Path, environment: Mapping[str, str]) -> Ended:
        """In the place of starting the program: tell it what its children need, and wait."""
        print(json.dumps({name: environment[name] for name in _OURS if name in environment}), flush=True)
        last = json.loads(sys.stdin.readline() or "{}")
        note = _LIVE if file else _UNSEEN
        return Ended(script["pid"], last.get("exit_code", _GONE), note, last.get("seconds", 0.0))

    if file:
        _check_saved(file, script.get("executed", []))
    return run_tracked(
        [file.name] if file else script["command"],
        store=run_store(),
        name=script["name"],
        directory=file.parent if file else Path.cwd(),
        start=wait,
        python=sys.executable,
    )


def _check_saved(file: Path, executed: Sequence[str]) -> None:
    """The kernel must have run what the file says.

    Raises:
        BadInput: the file is no notebook.
        Refused: it has not.
    """
    from launch_jobs.capture.notebook import read_notebook
    from launch_jobs.capture.notebook_live import unsaved_cell

    unsaved = unsaved_cell(read_notebook(file).cells, executed)
    if unsaved is not None:
        shown = unsaved.strip().partition("\n")[0][:60]
        raise Refused(
            f"unsaved changes: the kernel ran code that the saved {file.name} does not have ({shown!r})",
            do="Save the notebook, and run this cell again; if it is saved: restart the kernel and run all cells",
        )


if __name__ == "__main__":
    os.environ.pop("LAUNCH_TRACK_DIR", None)
    main()
