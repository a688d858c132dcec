"""Rows B71 and B73: what names no commit is never asked for; a remote that gives too much, or never ends, is left."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest
from repositories import Repo, add_remote, capture, new_repo

from launch_jobs.capture import git_remote
from launch_jobs.capture.git_checkout import snapshot_remote
from launch_jobs.capture.source import checkout
from launch_jobs.errors import LaunchError, Refused, StoreError, Unavailable
from launch_jobs.job import GitSource, JobVersion, Origin
from launch_jobs.store.jobs import JobStore


@pytest.fixture
def remote(repo: Repo, tmp_path: Path) -> str:
    """A remote that has everything."""
    add_remote(repo, tmp_path / "remote.git")
    return str(tmp_path / "remote.git")


def of_commit(version: JobVersion, commit: str) -> JobVersion:
    """The job of another commit, as a stranger would write it."""
    assert isinstance(version.job.source, GitSource)
    source = version.job.source.model_copy(update={"commit": commit})
    return version.model_copy(update={"job": version.job.model_copy(update={"source": source})})


@pytest.mark.parametrize("name", ["--upload-pack=touch x", "main", "HEAD", "HEAD^{/one}", "a..b", "0123abc", "f" * 41])
def test_only_a_full_commit_id_is_fetched(repo: Repo, store: JobStore, tmp_path: Path, remote: str, name: str) -> None:
    """A branch or tag may have moved, and the rest is a trick."""
    version = of_commit(capture(repo.root, store), name)
    assert version.origin.remote == remote
    with pytest.raises(StoreError, match="no full commit id"):
        checkout(version, store, tmp_path / "out")


@pytest.mark.parametrize("kind", ["HEAD^{tree}", "HEAD:train.py", "unknown"])
def test_an_id_of_no_commit_gives_nothing(repo: Repo, store: JobStore, tmp_path: Path, remote: str, kind: str) -> None:
    """A tree, a file, or nothing that the remote has."""
    name = "e" * 40 if kind == "unknown" else repo.git("rev-parse", kind).strip()
    version = of_commit(capture(repo.root, store), name)
    assert version.origin.remote == remote
    with pytest.raises(LaunchError) as raised:
        checkout(version, store, tmp_path / "out")
    assert isinstance(raised.value, (StoreError, Unavailable))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "ref", ["-x", "--upload-pack=touch x", "a:b", "+main", "HEAD^{/x y}", "refs/*", "a..b", "e" * 40]
)
def test_a_ref_that_is_none_is_refused(remote: str, tmp_path: Path, ref: str) -> None:
    """As `launch job create git URL --ref` takes it."""
    with pytest.raises(LaunchError) as raised:
        snapshot_remote(remote, ref)
    assert isinstance(raised.value, (Refused, Unavailable, StoreError))
    assert not (tmp_path / "x").exists()


def test_a_remote_that_gives_too_much_is_left(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the disk is full."""
    large = new_repo(tmp_path / "large")
    (large.root / "noise").write_bytes(random.Random(1).randbytes(3 << 20))
    large.commit()
    add_remote(large, tmp_path / "remote.git")
    version = capture(large.root, store)
    monkeypatch.setattr(git_remote, "LARGEST_FETCH_BYTES", 1 << 20)

    with pytest.raises(Unavailable, match=r"cannot fetch"):
        checkout(version, store, tmp_path / "out")
    monkeypatch.setattr(git_remote, "LARGEST_FETCH_BYTES", 8 << 20)
    checkout(version, store, tmp_path / "out")


def test_a_remote_that_never_ends_is_left(
    repo: Repo, store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a limit that no real fetch needs."""
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", "http://127.0.0.1 file:///")
    monkeypatch.setattr(git_remote, "_FETCH_S", 0.5)
    version = capture(repo.root, store)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin(remote=f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
        with pytest.raises(Unavailable, match=r"no answer in 0\.5 s"):
            checkout(version.model_copy(update={"origin": origin}), store, tmp_path / "out")
        assert time.monotonic() - begun < 60  # not for ever; a loaded machine is slow
        asker, _ = silent.accept()
        with asker:
            asker.settimeout(10)
            while asker.recv(4096):  # until it hangs up: the program that git started to ask is gone as well
                pass
