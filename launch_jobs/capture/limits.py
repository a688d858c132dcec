"""How much source one job may carry, counted while looking, so that a folder of data is refused before it is read."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from launch_jobs.errors import CaptureError

_LISTED = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """Most that one snapshot carries; what a commit already holds does not count.

    Attributes:
        files: how many.
        total: bytes of all.
        single: bytes of one.
        secret_files: paths that may hold secrets, as the user wrote them.
        instead: path in the tree, absolute → the file to take in its place; a path need not be there.
    """

    files: int = 20_000
    total: int = 500_000_000
    single: int = 100_000_000
    secret_files: tuple[str, ...] = ()
    instead: Mapping[Path, Path] = field(default_factory=dict[Path, Path])

    @classmethod
    def of(cls, total: int, secret_files: Iterable[str] = ()) -> Limits:
        """Limits for another total; one file may still be a fifth of it, as by default."""
        return cls(total=total, single=max(total // 5, 1), secret_files=tuple(secret_files))

    def instead_in(self, root: Path) -> dict[str, str]:
        """Path relative to a root → file to take in its place."""
        return {
            path.relative_to(root).as_posix(): str(file)
            for path, file in self.instead.items()
            if path.is_relative_to(root)
        }


@dataclass(slots=True)
class Meter:
    """Counts what a snapshot will carry.

    Attributes:
        limits: what is allowed.
        root: the source root, for messages.
    """

    limits: Limits
    root: Path
    _sizes: dict[str, int] = field(default_factory=dict[str, int])
    _total: int = 0

    def add(self, path: str, size: int) -> None:
        """Count one file; one that was counted already counts with its new size.

        Raises:
            CaptureError: a limit is passed; lists the ten largest files so far.
        """
        self._total += size - self._sizes.get(path, 0)
        self._sizes[path] = size
        if size > self.limits.single:
            self._refuse(
                f"the file {path!r} in {self.root} has {size:,} bytes, more than the limit of a file,", "single"
            )
        if self._total > self.limits.total:
            self._refuse(f"the source in {self.root} needs {self._total:,} bytes and more, over the limit of", "total")
        if len(self._sizes) > self.limits.files:
            self._refuse_number()

    def _refuse_number(self) -> None:
        folders = Counter(str(PurePosixPath(path).parent) for path in self._sizes).most_common(_LISTED)
        listed = ", ".join(f"{folder!r} ({count:,})" for folder, count in folders)
        raise CaptureError(
            f"the source in {self.root} is more files than the limit of {self.limits.files:,}",
            do="Ignore data files (.gitignore, .launchignore) and name them as datasets; "
            f"folders with the most so far: {listed}",
        )

    def _refuse(self, what: str, limit: str) -> None:
        largest = heapq.nlargest(_LISTED, self._sizes.items(), key=lambda one: one[1])
        listed = ", ".join(f"{path!r} ({size:,} bytes)" for path, size in largest)
        raise CaptureError(
            f"{what} {getattr(self.limits, limit):,}",
            do="Ignore data files (.gitignore, .launchignore) and name them as datasets, "
            f"or raise LAUNCH_JOBS_SOURCE_LIMIT_BYTES; the largest so far: {listed}",
        )
