"""The source that another tool's words are about, and the Python they leave open."""

from __future__ import annotations

import platform
from pathlib import Path

from launch_jobs.capture.code import snapshot_code
from launch_jobs.capture.source import snapshot_source
from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import CaptureError
from launch_jobs.store.jobs import JobStore


def this_python() -> str:
    """The version of the Python that runs us, for those who name none."""
    return platform.python_version()


def check_entry(file: str | None, snapshot: Snapshot) -> None:
    """See that the program is in the source: a job without it could never run.

    Raises:
        CaptureError: it is not.
    """
    if file is None or not file.endswith((".py", ".sh")):
        return
    if file.removeprefix("./") not in {entry.path for entry in snapshot.files}:
        raise CaptureError(
            f"The program {file!r} is not in the source: it was a new file that nobody committed, or is of another one",
            do="Name a folder that has it: --repository FOLDER, or another command: -- CMD ARG...",
        )


def snapshot_folder(folder: Path, store: JobStore, *, whole: bool) -> Snapshot:
    """Capture a folder as `launch run` would.

    Args:
        folder: of the project.
        store: takes the blobs.
        whole: the folder must be the source's root, as a Dockerfile's paths are relative to it.
    """
    snapshot = snapshot_source(folder, store)
    if not whole or snapshot.root == folder.resolve():
        return snapshot
    with snapshot:
        pass
    return snapshot_code(folder, store)
