"""Locks of files, which free themselves when their holder dies: held for a while, or asked for without taking them."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Generator[None]:
    """Hold a file's exclusive lock, against other threads too; the file stays.

    Raises:
        BlockingIOError: somebody else holds it, and we do not wait.
    """
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


class Shared:
    """A file's lock that any number of processes hold, each to its end."""

    def __init__(self, file: Path) -> None:
        self._held = file.open("a")
        fcntl.flock(self._held, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Whether nobody else holds it."""
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._held, fcntl.LOCK_SH)
        return True


def is_locked(file: Path) -> bool:
    """Whether a living process holds the file's exclusive lock; nobody does of a file that is not there."""
    try:
        with file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
