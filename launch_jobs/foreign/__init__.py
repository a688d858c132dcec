"""Jobs from elsewhere: what W&B, MLflow and Docker wrote about a program, read as data and made a job of ours.

Nothing of it is run. What cannot be carried is refused or said; nothing is left out in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from launch_jobs.job import CaptureRecord, Job, Origin
from launch_jobs.store.jobs import JobStore


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of an import.

    Attributes:
        store: takes the job.
        entry_point: of an MLflow project, which one.
        repository: where the source is, instead of where the other tool says: a clone, a folder, an address.
        command: instead of the one that is written there.
    """

    store: JobStore
    entry_point: str | None = None
    repository: str | None = None
    command: tuple[str, ...] = ()

    @property
    def place(self) -> Path | str | None:
        """The repository: a folder of this machine, or an address."""
        if self.repository is None:
            return None
        folder = Path(self.repository)
        return folder.resolve() if folder.is_dir() else self.repository


@dataclass(frozen=True, slots=True)
class Foreign:
    """A job as another tool describes it.

    Attributes:
        kind: what it was.
        name: what it was called there, in any letters.
        job: ours; its source is in the store.
        origin: where the source is.
        alias: to be set on the version.
        notes: what is not as it was, in plain words.
        record: of the run it describes, if it describes one.
    """

    kind: str
    name: str
    job: Job
    origin: Origin
    alias: str | None = None
    notes: tuple[str, ...] = field(default=())
    record: CaptureRecord | None = None
