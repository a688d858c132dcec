"""Fixtures of the tests of imports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from foreign.foreign_clients import digits_repository

from launch_jobs.foreign import Asked
from launch_jobs.store.jobs import JobStore, open_store

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose operator said nothing."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "machine"))
    monkeypatch.delenv("LAUNCH_JOBS_GIT_REMOTES", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """A job store in a folder."""
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """What real clients wrote once (`make` in test_real_clients.py): `job`, `run-0.19`, `run-0.31`; to be changed."""
    return shutil.copytree(DATA, tmp_path / "recorded")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the repository that they are of."""
    digits_repository(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def with_clone(store: JobStore, clone: Path) -> Asked:
    """The user names the clone."""
    return Asked(store, repository=str(clone))
