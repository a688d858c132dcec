"""Capture: a job from a tracked run, or from a folder or repository without running anything.

Importing this package imports nothing else; each name below brings what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch_jobs.capture.image import capture_image
    from launch_jobs.capture.tracked import TrackedRun, run_tracked
    from launch_jobs.capture.untracked import capture_code, capture_folder, capture_git

__all__ = ["TrackedRun", "capture_code", "capture_folder", "capture_git", "capture_image", "run_tracked"]

_HOME_OF = {
    "TrackedRun": "tracked",
    "run_tracked": "tracked",
    "capture_code": "untracked",
    "capture_folder": "untracked",
    "capture_git": "untracked",
    "capture_image": "image",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"launch_jobs.capture.{_HOME_OF[name]}"), name)
