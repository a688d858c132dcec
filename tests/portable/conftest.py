"""Stores, and one exported job."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from job_files import Parts, git_job, parts_of

from launch_jobs.job import JobVersion
from launch_jobs.portable import export_job
from launch_jobs.store.jobs import JobStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """An empty store."""
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that what is left, or written beside, is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobVersion, Path]:
    """A job of another machine, and its file."""
    folder = tmp_path_factory.mktemp("elsewhere")
    there = open_store((folder / "store").as_uri())
    version = git_job(folder / "code", there)
    export_job(version, there, folder / "train.job")
    return version, folder / "train.job"


@pytest.fixture
def parts(elsewhere: tuple[JobVersion, Path]) -> Parts:
    """The members of that file."""
    return parts_of(elsewhere[1])
