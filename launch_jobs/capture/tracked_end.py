"""How a tracked run ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch_jobs.job import CaptureRecord, JobVersion

STEPS = ("Reading the source", "Making the job", "Rebuilding the source, to prove it", "Storing the job")
"""What is done once the program has ended, in words for people."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The end of a tracked run.

    Attributes:
        exit_code: the program's, as a shell would say it; capture never changes it.
        version: the job that was captured; None if that failed.
        record: what this run was; None if that failed.
        problem: one line on why the capture failed, and where its raw record is.
    """

    exit_code: int
    version: JobVersion | None
    record: CaptureRecord | None
    problem: str | None = None
