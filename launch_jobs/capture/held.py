"""A source tree held as it was at one moment: what is slow of its capture may wait until a program has run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from launch_jobs.capture.tree import Snapshot


@dataclass(frozen=True, slots=True)
class HeldSource:
    """A source tree of which everything is safe that a program could overwrite; a context manager that frees it.

    Attributes:
        root: the folder it was captured from, absolute, symbolic links resolved.
        paths: of every file and link.
        finish: makes the snapshot, of the tree as it was when it was held; once.
        close: frees the temporary files, those of the snapshot too; again is no error.
    """

    root: Path
    paths: frozenset[str]
    finish: Callable[[], Snapshot]
    close: Callable[[], None]

    @classmethod
    def whole(cls, snapshot: Snapshot) -> HeldSource:
        """Of a snapshot that is made already."""
        paths = frozenset(entry.path for entry in snapshot.files)
        return cls(snapshot.root, paths, lambda: snapshot, snapshot.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
