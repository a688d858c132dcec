"""Looking at files: what is seen, and that a change meanwhile is noticed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from launch_jobs.capture.tree import FileChangedError, check_unchanged, copy_seen, scan_tree, see
from launch_jobs.job import TreeEntry
from launch_jobs.names import sha256


def test_scan_lists_files_by_path(tmp_path: Path) -> None:
    """Files and links with git's modes, sorted; folders only as parts of paths."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("x")
    (tmp_path / "a.sh").write_text("s")
    (tmp_path / "a.sh").chmod(0o700)
    (tmp_path / "link").symlink_to("b/")
    (tmp_path / "nothing").mkdir()
    assert scan_tree(tmp_path) == (
        TreeEntry(path="a.sh", mode="755", digest=sha256(b"s")),
        TreeEntry(path="b/x", mode="644", digest=sha256(b"x")),
        TreeEntry(path="link", mode="link", digest=sha256(b"b/")),
    )


def test_git_name_of_content(tmp_path: Path) -> None:
    """A file's git name is what `git hash-object` says."""
    (tmp_path / "a").write_bytes(b"hello\n")
    seen = see(tmp_path, "a", "sha1")
    assert seen is not None
    assert seen.object_id == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_folder_or_nothing_is_no_file(tmp_path: Path) -> None:
    """What is not there, a folder, and a path below a file are not seen."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert [see(tmp_path, path) for path in ("folder", "nowhere", "file/below")] == [None, None, None]


@pytest.mark.parametrize("later", ["longer than before", "short", "changed"])
def test_copy_of_a_changed_file(tmp_path: Path, later: str) -> None:
    """Content is copied only if it is what was seen."""
    (tmp_path / "a").write_text("content")
    seen = see(tmp_path, "a")
    assert seen is not None
    (tmp_path / "a").write_text(later)
    with pytest.raises(FileChangedError, match="a"):
        copy_seen(tmp_path, seen, io.BytesIO())


@pytest.mark.parametrize("change", ["content", "mode", "gone", "link", "appeared"])
def test_change_is_noticed(tmp_path: Path, change: str) -> None:
    """Content, mode, disappearing, another kind, and appearing where nothing was are all changes."""
    file = tmp_path / "a"
    file.write_text("one")
    seen = see(tmp_path, "a")
    assert seen is not None
    stamps = {"a": seen.stamp, "b": None}
    check_unchanged(tmp_path, stamps)
    if change == "content":
        file.write_text("two!")
    elif change == "mode":
        file.chmod(0o755)
    elif change == "appeared":
        (tmp_path / "b").touch()
    else:
        file.unlink()
    if change == "link":
        file.symlink_to("b")
    with pytest.raises(FileChangedError):
        check_unchanged(tmp_path, stamps)
