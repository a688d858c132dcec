"""What the rows of the torture set share: a fresh repository a case, and the two ways a case may end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch_jobs.capture.limits import Limits
from launch_jobs.capture.proof import prove
from launch_jobs.capture.source import checkout, snapshot_source
from launch_jobs.errors import LaunchError
from launch_jobs.job import JobVersion
from launch_jobs.store.jobs import JobStore, open_store
from tests.sources.repositories import Repo, Tree, ordinary_repo, tree_of, version_of


@dataclass
class Bench:
    """One case's own place.

    Attributes:
        tmp: an empty folder.
        monkeypatch: undone after the case.
    """

    tmp: Path
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.repo: Repo = ordinary_repo(self.tmp / "repo")
        self.root: Path = self.repo.root
        self.store: JobStore = open_store((self.tmp / "store").as_uri())
        self.home: Path = self.tmp / "home"
        self.home.mkdir()
        self.monkeypatch.setenv("HOME", str(self.home))
        for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
            self.monkeypatch.delenv(name, raising=False)

    def write(self, path: str, data: bytes | str = "x\n") -> Path:
        """Write a file of the repository, and its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        return file

    def capture(self, directory: Path | None = None, limits: Limits | None = None) -> JobVersion:
        """Snapshot a folder and prove it, as every capture does."""
        with snapshot_source(directory or self.root, self.store, limits=limits) as snapshot:
            prove(snapshot, self.store)
            return version_of(snapshot)

    def checkout(self, version: JobVersion) -> Tree:
        """Write the source elsewhere; what came out."""
        out = self.tmp / "out"
        shutil.rmtree(out, ignore_errors=True)
        checkout(version, self.store, out)
        return tree_of(out, without=())

    def exact(self, directory: Path | None = None, *, without: tuple[str, ...] = (".git",)) -> JobVersion:
        """Capture, take the original away, check out, and compare: every byte, mode, link and name."""
        root = directory or self.root
        expected = tree_of(root, without)
        version = self.capture(root)
        away = root.rename(self.tmp / "away")
        same(self.checkout(version), expected)
        away.rename(root)
        return version

    def refused(self, message: str, code: int = 2) -> _Refused:
        """What happens inside must be refused with this in its message, and make no version."""
        return _Refused(self.tmp / "store", message, code)


class _Refused:
    def __init__(self, store: Path, message: str, code: int) -> None:
        self._raises = pytest.raises(LaunchError, match=message)
        self._store, self._code, self._before = store, code, self._versions(store)
        self.said = ""

    def __enter__(self) -> _Refused:
        self._info = self._raises.__enter__()
        return self

    def __exit__(self, *about: object) -> bool:
        done = self._raises.__exit__(*about)  # pyright: ignore[reportArgumentType]  as Python gave them
        assert self._info.value.exit_code == self._code, self._info.value
        assert "\n" not in str(self._info.value), "a refusal is one line"
        assert self._versions(self._store) == self._before, "a refusal makes no version"
        self.said = str(self._info.value)
        return bool(done)

    @staticmethod
    def _versions(store: Path) -> set[str]:
        """What the store holds but blobs, which nothing refers to before there is a version."""
        return {path for path in tree_of(store) if not path.startswith("blobs/")}


Case = Callable[[Bench], None]


@dataclass(frozen=True)
class Row:
    """One row of the bad-input catalogue.

    Attributes:
        what: the input, in a few words.
        exact: cases whose tree comes out byte for byte.
        refused: cases that are refused by name.
    """

    what: str
    exact: Mapping[str, Case]
    refused: Mapping[str, Case]


def same(found: Tree, expected: Tree) -> None:
    """Compare two trees; says which paths differ."""
    different = sorted(path for path in {*found, *expected} if found.get(path) != expected.get(path))
    assert not different, {path: (expected.get(path), found.get(path)) for path in different[:5]}


def noted(version: JobVersion, *words: str) -> None:
    """A job's notes must say this."""
    said = " ".join(version.origin.notes)
    missing = [word for word in words if word not in said]
    assert not missing, f"{missing} not in {said!r}"
