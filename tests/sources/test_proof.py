"""A capture proves itself: what the store holds gives the tree, or the capture fails and names the files."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from repositories import Repo, add_remote, new_repo, version_of

from launch_jobs.capture.proof import prove
from launch_jobs.capture.source import Snapshot, checkout, snapshot_source
from launch_jobs.capture.tracked import run_tracked
from launch_jobs.errors import CaptureError
from launch_jobs.names import Digest
from launch_jobs.store.jobs import JobStore
from launch_jobs.store.opening import open_objects


def _with(snapshot: Snapshot, **changes: str | None) -> Snapshot:
    return replace(snapshot, origin=snapshot.origin.model_copy(update=changes))


def test_proof_needs_no_remote(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A pushed commit is proven from the user's own repository, an unpushed one from its bundle, without the remote."""
    add_remote(repo, tmp_path / "remote.git")
    shutil.rmtree(tmp_path / "remote.git")
    with snapshot_source(repo.root, store) as snapshot:
        assert snapshot.origin.bundle is None
        prove(snapshot, store)
    (repo.root / "train.py").write_text("unpushed\n")
    repo.commit()
    with snapshot_source(repo.root, store) as snapshot:
        assert snapshot.origin.bundle
        prove(snapshot, store)


def test_difference_is_named(repo: Repo, store: JobStore) -> None:
    """A patch that gives another tree is named by its files: content, mode, missing, extra."""
    with snapshot_source(repo.root, store) as clean:
        pass
    (repo.root / "train.py").write_text("changed\n")
    (repo.root / "run.sh").chmod(0o644)
    (repo.root / "new.py").write_text("new\n")
    (repo.root / "dos.txt").unlink()
    with snapshot_source(repo.root, store) as snapshot:
        prove(snapshot, store)
        with pytest.raises(CaptureError, match="comes out different") as failure:
            prove(_with(snapshot, patch=clean.origin.patch), store)
    said = str(failure.value)
    named = ("'dos.txt' (extra)", "'new.py' (missing)", "'run.sh' (mode)", "'train.py' (content)")
    assert [one in said for one in named] == [True] * 4


def test_many_differences_are_counted(repo: Repo, store: JobStore) -> None:
    """Ten paths are named, the others counted."""
    for number in range(14):
        (repo.root / f"new{number:02}.py").write_text("new\n")
    with (
        snapshot_source(repo.root, store) as snapshot,
        pytest.raises(CaptureError, match=r"'new09.py' \(missing\) and 4 more"),
    ):
        prove(_with(snapshot, patch=None), store)


def test_bundle_of_another_history(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A bundle that does not hold the commit does not pass because the user's repository has it."""
    other = new_repo(tmp_path / "other")
    other.commit()
    with snapshot_source(other.root, store) as foreign:
        pass
    with (
        snapshot_source(repo.root, store) as snapshot,
        pytest.raises(CaptureError, match="cannot be rebuilt: the stored bundle does not give commit"),
    ):
        prove(_with(snapshot, bundle=foreign.origin.bundle), store)


@pytest.mark.parametrize("git", [True, False])
def test_missing_blob(repo: Repo, store: JobStore, tmp_path: Path, git: bool) -> None:
    """What the store lost is no proof."""
    if not git:
        shutil.rmtree(repo.root / ".git")
    with snapshot_source(repo.root, store) as snapshot:
        prove(snapshot, store)
        shutil.rmtree(tmp_path / "store" / "blobs")
        with pytest.raises(CaptureError, match="was captured, but cannot be rebuilt"):
            prove(snapshot, store)


def test_run_whose_proof_fails_is_not_captured(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """The program's exit code stands, no version appears, and the reason is said."""

    class LosingStore(JobStore):
        """Keeps no blob for long."""

        def put_blob(self, path: Path) -> Digest:
            digest = super().put_blob(path)
            shutil.rmtree(tmp_path / "store" / "blobs")
            return digest

    (repo.root / "train.py").write_text("raise SystemExit(7)\n")
    losing = LosingStore(open_objects((tmp_path / "store").as_uri()))
    run = run_tracked([sys.executable, "train.py"], store=losing, directory=repo.root)
    assert (run.exit_code, run.version) == (7, None)
    assert run.problem and "cannot be rebuilt" in run.problem
    assert list(store.names()) == []


def test_proof_leaves_nothing_behind(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A proven snapshot checks out, and neither repository nor work tree was touched by the proof."""
    with snapshot_source(repo.root, store) as snapshot:
        before = repo.state()
        prove(snapshot, store)
        assert repo.state() == before
        version = version_of(snapshot)
    checkout(version, store, tmp_path / "out")
