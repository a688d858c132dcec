"""Whether somebody holds a file's lock, asked without taking it from anyone."""

from __future__ import annotations

import fcntl
from pathlib import Path


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
