"""The process beside a script that `launch_jobs.track` tracks: takes its source, waits for its end, makes the job."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from launch_jobs.capture.process import Ended
from launch_jobs.capture.tracked import run_tracked
from launch_jobs.cli.output import progress, warn
from launch_jobs.cli.session import local_session
from launch_jobs.errors import LaunchError

_GONE = 255
"""The exit code of a script that ended without a word, by a signal or `os._exit`: nobody but its parent knows it."""

_UNSEEN = (
    "Tracked from inside, so the exit code only tells whether an exception ended it (1), a signal or os._exit (255), "
    "or neither (0); one given to sys.exit is not known."
)

_OURS = ("PYTHONPATH", "LAUNCH_TRACK_DIR", "LAUNCH_TRACK_ROOT", "LAUNCH_TRACK_PATH_UNSET")


class Script(TypedDict):
    """What the script says of itself."""

    command: list[str]
    pid: int
    name: str | None


def main() -> None:
    """Serve the script that started this process."""
    script: Script = json.loads(sys.stdin.readline())

    def wait(_command: Sequence[str], _directory: Path, environment: Mapping[str, str]) -> Ended:
        """In the place of starting the script: tell it what its children need, and wait."""
        print(json.dumps({name: environment[name] for name in _OURS if name in environment}), flush=True)
        last = json.loads(sys.stdin.readline() or "{}")
        return Ended(script["pid"], last.get("exit_code", _GONE), _UNSEEN)

    try:
        ended = run_tracked(
            script["command"], store=local_session().store, name=script["name"], directory=Path.cwd(), start=wait
        )
    except LaunchError as error:
        warn(f"launch_jobs.track does not capture this run: {error}")
        return
    if ended.problem:
        warn(ended.problem)
    elif ended.version:
        progress(f"Captured {ended.version.label} ({ended.version.digest[:19]})")


if __name__ == "__main__":
    os.environ.pop("LAUNCH_TRACK_DIR", None)
    main()
