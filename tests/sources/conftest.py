"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import ANY_REMOTE, Repo, ordinary_repo

from launch_jobs.store.jobs import JobStore, open_store


@pytest.fixture(autouse=True)
def _local_remotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remotes of these tests are folders and servers of this machine, which an operator must allow."""
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", ANY_REMOTE)


@pytest.fixture(autouse=True)
def folders_are_remotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator says whose git remotes are on a shared disk; the remotes of these tests are folders."""
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", "https://* ssh://* file:///")


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """A job store in a folder."""
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with one commit of files of every kind, and no remote."""
    return ordinary_repo(tmp_path / "repo")


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own git configuration, to be written by the test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home / ".gitconfig"
