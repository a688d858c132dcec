"""What cannot be carried exactly is refused, and the message names it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from repositories import Repo, capture, new_repo, tree_of

from launch_jobs.capture.limits import Limits
from launch_jobs.capture.source import snapshot_source
from launch_jobs.errors import BadInput, CaptureError
from launch_jobs.job import CodeSource, GitSource
from launch_jobs.store.jobs import JobStore


def test_too_large_lists_the_largest(repo: Repo, store: JobStore) -> None:
    """Over the limit, the ten largest changed files so far are listed, the largest first, and the rest is not read."""
    for number in range(12):
        (repo.root / f"data{number:02}.bin").write_bytes(b"x" * 1000 * (number + 1))
    (repo.root / "not-weighed").write_text("x")
    with (
        pytest.raises(CaptureError, match=r"limit of 77,000") as refusal,
        snapshot_source(repo.root, store, limits=Limits(total=77_000)),
    ):
        pass
    assert str(refusal.value).index("'data11.bin' (12,000 bytes)") < str(refusal.value).index("'data02.bin'")
    assert "'data01.bin'" not in str(refusal.value)
    assert "not-weighed" not in str(refusal.value)


def test_bare_repository(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A bare repository has no files to capture."""
    repo.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    with pytest.raises(CaptureError, match="bare"):
        capture(tmp_path / "bare", store)


def test_inside_git_folder(repo: Repo, store: JobStore) -> None:
    """Git's own folder is no source."""
    with pytest.raises(CaptureError, match="own folder"):
        capture(repo.root / ".git" / "objects", store)


def test_missing_folder(store: JobStore, tmp_path: Path) -> None:
    """A folder that is not there is bad input."""
    with pytest.raises(BadInput, match="nowhere' is no folder"):
        capture(tmp_path / "nowhere", store)


def test_missing_git(repo: Repo, store: JobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without git, a repository is refused, not captured as a plain folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaptureError, match="git is not on PATH"):
        capture(repo.root, store)


def test_foreign_owner(repo: Repo, store: JobStore) -> None:
    """A repository of another user is refused with git's own words."""
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    for path in (repo.root, repo.root / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(CaptureError, match="dubious ownership"):
        capture(repo.root, store)


def test_damaged_repository(repo: Repo, store: JobStore) -> None:
    """A commit that git cannot read is refused in one line."""
    tree = repo.git("rev-parse", "HEAD^{tree}").strip()
    (repo.root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(CaptureError, match="git cannot capture") as refusal:
        capture(repo.root, store)
    assert "\n" not in str(refusal.value)


def test_broken_link_to_its_repository(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A linked work tree whose repository is gone is refused, not captured as a plain folder."""
    repo.git("worktree", "add", "--quiet", str(tmp_path / "side"))
    repo.root.rename(tmp_path / "moved")
    with pytest.raises(CaptureError, match="cannot read the repository"):
        capture(tmp_path / "side", store)


def test_file_that_keeps_changing(repo: Repo, store: JobStore) -> None:
    """A file that another program writes all the time is refused by name, after a second try."""
    over = threading.Event()

    def write() -> None:
        with (repo.root / "log.txt").open("w", buffering=1) as log:
            while not over.wait(0.0005):
                log.write("line\n")

    (repo.root / "log.txt").touch()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(CaptureError, match=r"log\.txt' keeps changing"):
            capture(repo.root, store)
    finally:
        over.set()
        writer.join()


def test_unchanged_file_that_is_written_meanwhile(repo: Repo, store: JobStore) -> None:
    """A file that was as committed when it was read, but is written before the end, is refused by name, too."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(0.0005):
            os.utime(repo.root / "train.py")

    (repo.root / "new.py").write_text("x")  # so that git has to work between the first look and the last
    writer = threading.Thread(target=touch)
    writer.start()
    try:
        with pytest.raises(CaptureError, match=r"train\.py' keeps changing"):
            capture(repo.root, store)
    finally:
        over.set()
        writer.join()


def test_refused_capture_stores_nothing(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A refusal leaves no blob behind."""
    before = set(tree_of(tmp_path / "store"))
    (repo.root / "train.py").write_text("changed")
    (repo.root / "to-outside").symlink_to("/srv")
    with pytest.raises(CaptureError, match="'to-outside'"):
        capture(repo.root, store)
    assert set(tree_of(tmp_path / "store")) == before


def test_no_commit_yet(store: JobStore, tmp_path: Path) -> None:
    """Before its first commit, a repository is captured as a folder, ignored files left out."""
    repo = new_repo(tmp_path / "fresh")
    (repo.root / "train.py").write_text("x")
    (repo.root / "x.log").write_text("x")
    (repo.root / ".gitignore").write_text("*.log\n")
    with snapshot_source(repo.root, store) as snapshot:
        assert isinstance(snapshot.source, CodeSource)
        assert [entry.path for entry in snapshot.files] == [".gitignore", "train.py"]


def test_folder_that_the_repository_ignores(repo: Repo, store: JobStore) -> None:
    """A folder that the surrounding repository ignores is captured for itself."""
    (repo.root / "play.ignored").mkdir()
    (repo.root / "play.ignored" / "train.py").write_text("x")
    with snapshot_source(repo.root / "play.ignored", store) as snapshot:
        assert isinstance(snapshot.source, CodeSource)
        assert snapshot.root == repo.root / "play.ignored"


def test_folder_inside_the_repository(repo: Repo, store: JobStore) -> None:
    """From a folder inside, the whole repository is captured, with its top as root."""
    with snapshot_source(repo.root / "package" / "deep", store) as snapshot:
        assert isinstance(snapshot.source, GitSource)
        assert snapshot.root == repo.root
        assert "train.py" in {entry.path for entry in snapshot.files}


def test_outputs_of_earlier_runs_stay_out(repo: Repo, store: JobStore) -> None:
    """Untracked paths that the caller knows as outputs are not source; tracked ones are."""
    (repo.root / "model.bin").write_text("x")
    with snapshot_source(repo.root, store, without=["model.bin", "train.py"]) as snapshot:
        paths = {entry.path for entry in snapshot.files}
    assert ("model.bin" in paths, "train.py" in paths) == (False, True)


def test_captured_content_outlives_the_working_files(repo: Repo, store: JobStore) -> None:
    """`read` gives what was captured, of changed, unchanged and linked files, after all of them changed again."""
    (repo.root / "train.py").write_text("captured\n")
    expected = tree_of(repo.root)
    with snapshot_source(repo.root, store) as snapshot:
        for path in expected:
            (repo.root / path).unlink()
        (repo.root / "train.py").write_text("later\n")
        assert {entry.path: (entry.mode, snapshot.read(entry.path)) for entry in snapshot.files} == expected
        with pytest.raises(BadInput, match=r"'other\.py' is not in the snapshot"):
            snapshot.read("other.py")


def test_same_tree_is_the_same_source(repo: Repo, store: JobStore) -> None:
    """Two captures of the same files are one version, patch and bundle included, staged or not."""
    (repo.root / "train.py").write_text("changed\n")
    (repo.root / "new.py").write_text("new\n")
    first = capture(repo.root, store)
    repo.git("add", "--all")
    second = capture(repo.root, store)
    assert (first.digest, first.origin) == (second.digest, second.origin)
