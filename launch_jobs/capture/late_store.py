"""The job store of a tracked run, opened once the program has ended: what that imports need not delay its start."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch_jobs.names import Digest
    from launch_jobs.store.jobs import JobStore


class LateStore:
    """A job store that is opened when it is first used."""

    def __init__(self, opened: Callable[[], JobStore]) -> None:
        self._opened = opened

    @cached_property
    def whole(self) -> JobStore:
        """The store itself.

        Raises:
            StoreError, Unavailable: it cannot be opened.
        """
        return self._opened()

    def put_blob(self, path: Path) -> Digest:
        """Keep a file's content."""
        return self.whole.put_blob(path)

    def get_blob(self, digest: Digest, into: Path) -> None:
        """Write content into a new file, verified."""
        self.whole.get_blob(digest, into)
