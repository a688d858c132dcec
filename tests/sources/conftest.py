"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Repo, new_repo

from launch_jobs.store.jobs import JobStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """A job store in a folder."""
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with one commit of files of every kind, and no remote."""
    repo = new_repo(tmp_path / "repo")
    root = repo.root
    (root / "train.py").write_text("print('one')\nprint('two')\n")
    (root / "package" / "deep").mkdir(parents=True)
    (root / "package" / "__init__.py").touch()
    (root / "package" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 8)
    (root / "run.sh").write_text("#!/bin/sh\nexit 0\n")
    (root / "run.sh").chmod(0o755)
    (root / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    (root / "no-newline").write_text("end")
    (root / "latest").symlink_to("package/deep")
    (root / ".gitignore").write_text("*.ignored\n")
    repo.commit()
    return repo


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own git configuration, to be written by the test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home / ".gitconfig"
