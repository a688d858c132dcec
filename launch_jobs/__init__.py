"""Launch Jobs: capture a job from a run, queue it, run it on any machine.

Importing this package imports the standard library only; each name below brings what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch_jobs.api import (
        Run,
        capture_code,
        capture_folder,
        capture_git,
        capture_image,
        find_run,
        submit,
        submit_all,
        use_server,
    )
    from launch_jobs.tracker.track import track

__all__ = [
    "Run",
    "capture_code",
    "capture_folder",
    "capture_git",
    "capture_image",
    "find_run",
    "submit",
    "submit_all",
    "track",
    "use_server",
]

_HOME_OF = {"track": "launch_jobs.tracker.track"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF.get(name, "launch_jobs.api")), name)
