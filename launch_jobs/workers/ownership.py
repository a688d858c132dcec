"""Who works on a run, on this host: an exclusive file lock a run, which the kernel frees when its agent dies."""

from __future__ import annotations

import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from launch_jobs.locks import is_locked


class Ownership:
    """The runs that agents with this home work on."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "owned"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.identity = _home_identity(home)
        self._held: dict[str, FileLock] = {}

    def take(self, run: str) -> bool:
        """Become the run's owner; False if a living agent (this one included) is."""
        if run in self._held:
            return False
        lock = FileLock(self._folder / f"{run}.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        self._held[run] = lock
        return True

    def release(self, run: str) -> None:
        """Give a run up. Its file goes first: whoever still opened it reads the run's state again before acting."""
        lock = self._held.pop(run)
        self._note(run).unlink(missing_ok=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()

    def sign_off(self) -> None:
        """Note that we leave because we were asked to; no run that we have is to blame."""
        for run in self._held:
            self._note(run).touch()

    def was_signed_off(self, run: str) -> bool:
        """Whether the last owner of a run that is ours now left because it was asked to. Asked once."""
        there = self._note(run).exists()
        self._note(run).unlink(missing_ok=True)
        return there

    def _note(self, run: str) -> Path:
        return self._folder / f"{run}.left"


def _home_identity(home: Path) -> str:
    """The name of this home among all homes, made once."""
    path = home / "agent-id"
    with FileLock(home / "agent-id.lock"):
        if not path.exists():
            path.write_text(uuid.uuid4().hex)
        return path.read_text()


def identity_of(home: Path) -> str | None:
    """The identity that agents of a home claim with; None where no agent ever ran."""
    path = home / "agent-id"
    return path.read_text() if path.exists() else None


def is_worked_on(home: Path, run: str) -> bool:
    """Whether a living agent of this home has a run; asked without becoming its owner."""
    return is_locked(home / "owned" / f"{run}.lock")
