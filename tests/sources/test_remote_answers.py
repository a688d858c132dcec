"""Row B05: a remote that every launch will need is asked at capture whether it is there; if not, the notes say so."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

import pytest
from repositories import Repo, add_remote, capture

from launch_jobs.capture import git_remote
from launch_jobs.job import JobVersion
from launch_jobs.store.jobs import JobStore


def said(version: JobVersion) -> list[str]:
    """The notes on remotes that do not answer."""
    return [note for note in version.origin.notes if "does not answer now" in note]


def test_a_remote_that_is_there_is_not_mentioned(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """Neither is one that the job does not need, for its bundle has everything."""
    repo.git("remote", "add", "nowhere", "https://127.0.0.1:9/x.git")
    assert not said(capture(repo.root, store))
    add_remote(repo, tmp_path / "remote.git")
    assert not said(capture(repo.root, store))


@pytest.mark.parametrize("more", [False, True], ids=["pushed", "with a commit that is not pushed"])
def test_a_remote_that_is_gone_is_said(repo: Repo, store: JobStore, tmp_path: Path, more: bool) -> None:
    """The capture is good, and its launches will need the remote."""
    add_remote(repo, tmp_path / "remote.git")
    if more:
        repo.commit("of this machine only")
    shutil.rmtree(tmp_path / "remote.git")
    (note,) = said(capture(repo.root, store))
    assert f"The remote {tmp_path / 'remote.git'}" in note


def test_a_remote_that_never_ends_holds_nothing_up(
    repo: Repo, store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for a few seconds only."""
    add_remote(repo, tmp_path / "remote.git")
    monkeypatch.setattr(git_remote, "_ANSWER_S", 0.5)
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", "http://127.0.0.1 file:///")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        repo.git("remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
        begun = time.monotonic()
        (note,) = said(capture(repo.root, store))
    assert "no answer in 0.5 s" in note
    assert time.monotonic() - begun < 60  # not for ever; a loaded machine is slow
