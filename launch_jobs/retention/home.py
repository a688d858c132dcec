"""Shelves in the home folder: environments, mounted datasets, what ended attempts left (checkouts, folders, logs)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from launch_jobs.build.venv import COMPLETE
from launch_jobs.datasets import cache_lock, dataset_cache
from launch_jobs.locks import locked
from launch_jobs.names import attempt_of
from launch_jobs.retention import Item, Kind
from launch_jobs.retention.needs import Needs
from launch_jobs.store.sealed import seal_of
from launch_jobs.targets import attempt_folder

_LEFT_IN = ("sources", "runs", "datasets", "logs/runs")
"""Folders of the home with one entry an attempt, named after it."""

_HALVES = (("runs", ".gone.*"), ("sources", ".checkout-*"))
_WORKED_ON = timedelta(hours=1)


class Venvs:
    """Virtual environments of process queues.

    Args:
        home: their home.
        needed: those that runs need, by name, with who does; None if that cannot be told.
    """

    kind = Kind.VENVS

    def __init__(self, home: Path, needed: Mapping[str, str] | None) -> None:
        self._folder, self._needed = home / "venvs", needed

    def items(self) -> list[Item]:
        """Every environment; how long it is unused is told by its mark, which each use makes young."""
        return [
            _kept(self.kind, folder, "venv", used=_last_use(folder, folder / COMPLETE), needed=self._needed)
            for folder in _folders(self._folder)
        ]

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove each under the lock that its makers hold; its mark goes first, so that no half one looks whole."""
        yield from filter(self._remove, items)

    def _remove(self, item: Item) -> bool:
        folder = self._folder / item.key
        with suppress(BlockingIOError), locked(self._folder / f"{item.key}.lock", wait=False):
            if _last_use(folder, folder / COMPLETE) > item.used:
                return False
            (folder / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()


class Datasets:
    """Datasets that were mounted into containers.

    Args:
        home: of the agents that did so.
        needed: those that runs need, by name, with who does; None if that cannot be told.
    """

    kind = Kind.DATASETS

    def __init__(self, home: Path, needed: Mapping[str, str] | None) -> None:
        self._folder, self._needed = dataset_cache(home), needed

    def items(self) -> list[Item]:
        """Every dataset, and every one that was only half fetched; each use makes its seal young."""
        return [
            _kept(self.kind, folder, "dataset", used=_last_use(folder, seal_of(folder)), needed=self._needed)
            for folder in _folders(self._folder)
        ]

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove each under the lock of whoever fetches it; its seal goes first, so that no half one looks whole."""
        yield from filter(self._remove, items)

    def _remove(self, item: Item) -> bool:
        folder = self._folder / item.key
        with suppress(BlockingIOError), locked(cache_lock(folder), wait=False):
            if _last_use(folder, seal_of(folder)) > item.used:
                return False
            seal_of(folder).unlink(missing_ok=True)
            attempt_folder.remove(folder)
        return not folder.exists()


class Sources:
    """Checkouts, folders, datasets and logs of attempts that are over.

    Args:
        home: their home.
        needs: the runs on the server.
    """

    kind = Kind.SOURCES

    def __init__(self, home: Path, needs: Needs) -> None:
        self._home, self._needs = home, needs

    def items(self) -> list[Item]:
        """Every entry that is named after an attempt, and what was half made or half removed when its agent died."""
        named = [path for place in _LEFT_IN for path in _entries(self._home / place) if _run_of(path)]
        halves = [path for place, pattern in _HALVES for path in sorted((self._home / place).glob(pattern))]
        return [*map(self._item, named), *map(self._half, halves)]

    def _half(self, path: Path) -> Item:
        used = _modified(path)
        needed = "an agent that works on it, maybe" if datetime.now(UTC) - used < _WORKED_ON else ""
        name = str(path.relative_to(self._home))
        return Item(kind=self.kind, key=name, name=name, bytes=freed_by(path), used=used, needed=needed)

    def _item(self, path: Path) -> Item:
        run = self._needs.runs.get(_run_of(path) or "")
        needed = f"run {run.name}" if run and run.over is None else ""
        if path.parent.name == "runs" and path.is_dir() and (status := attempt_folder.status(path)):
            needed = needed or ("its program, which runs" if status.state == "running" else "")
        return Item(
            kind=self.kind,
            key=str(path.relative_to(self._home)),
            name=str(path.relative_to(self._home)),
            bytes=freed_by(path),
            used=_modified(path),
            needed=needed,
        )

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove them, read-only parts included."""
        yield from filter(self._remove, items)

    def _remove(self, item: Item) -> bool:
        path = self._home / item.key
        if path.is_dir() and not path.is_symlink():
            attempt_folder.remove(path)
        else:
            path.unlink(missing_ok=True)
        return not path.exists()


def freed_by(path: Path) -> int:
    """Bytes on disk that removing a file or folder frees: what has another name elsewhere stays."""
    return sum(_alone(each) for each in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())))


def _alone(path: Path) -> int:
    with suppress(OSError):
        found = path.lstat()
        return found.st_blocks * 512 if found.st_nlink == 1 or path.is_dir() else 0
    return 0


def _kept(kind: Kind, folder: Path, what: str, *, used: datetime, needed: Mapping[str, str] | None) -> Item:
    """A folder that is named by the digest of its content, and that several runs may need."""
    return Item(
        kind=kind,
        key=folder.name,
        name=f"{what} {folder.name[:12]}",
        bytes=freed_by(folder),
        used=used,
        needed=needed.get(folder.name, "") if needed is not None else "an open run's job cannot be read",
    )


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in _entries(folder) if path.is_dir() and not path.is_symlink())


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith("."):
                yield Path(entry.path)


def _run_of(path: Path) -> str | None:
    found = attempt_of(path.name.partition(".")[0])
    return found[0] if found else None


def _last_use(folder: Path, mark: Path) -> datetime:
    return _modified(mark if mark.exists() else folder)


def _modified(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.now(UTC)
