"""Files that git vouches for are read after the program ran; the job has them as they were before, whatever it did."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import Repo, tree_of, version_of

from launch_jobs.capture import git_vouched
from launch_jobs.capture.git import find_repository
from launch_jobs.capture.git_files import look
from launch_jobs.capture.limits import Limits, Meter
from launch_jobs.capture.source import checkout, hold_source
from launch_jobs.capture.tracked import run_tracked
from launch_jobs.store.jobs import JobStore


def _overwrite_in_place(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(bytes(byte ^ 1 for byte in opened.read(5)))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _lengthen(file: Path) -> None:
    file.write_text("one\ntwo\nthree, and much more\n")


def _make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _make_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("dos.txt")


CHANGES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "overwritten in place, its time put back": _overwrite_in_place,
    "longer": _lengthen,
    "deleted": Path.unlink,
    "a folder": _make_folder,
    "a link": _make_link,
    "executable": lambda file: file.chmod(0o755),
    "unreadable": lambda file: file.chmod(0),
}


@pytest.fixture
def settled(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository that git looked at after its files were written; its times need not be a second apart."""
    monkeypatch.setattr(git_vouched, "LATELY_NS", 0)
    (repo.root / "dirty.txt").write_text("not committed\n")
    os.utime(repo.root / ".git" / "index")
    return repo


def unread(repo: Repo) -> set[str]:
    """Paths that a look leaves unread."""
    found = find_repository(repo.root)
    assert found and found.commit
    looked = look(found, found.commit, frozenset(), Meter(Limits(), repo.root))
    return {path for path, one in looked.seen.items() if not one.digest}


@pytest.mark.parametrize("change", CHANGES)
def test_source_is_as_before_the_program(settled: Repo, store: JobStore, tmp_path: Path, change: str) -> None:
    """Whatever becomes of a file that was left unread, the finished tree is that of the moment it was held."""
    before = tree_of(settled.root)
    assert "train.py" in unread(settled)
    with hold_source(settled.root, store) as held:
        CHANGES[change](settled.root / "train.py")
        version = version_of(held.finish())
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out", without=()) == before


def test_a_program_that_overwrites_all_of_its_source(settled: Repo, store: JobStore, tmp_path: Path) -> None:
    """A tracked run of a script that destroys its work tree gives a job with the tree as it was."""
    script = "import pathlib\nfor file in pathlib.Path().rglob('[a-z]*.*'):\n    file.write_text('gone')\n"
    (settled.root / "destroy.py").write_text(script)
    settled.commit()
    os.utime(settled.root / ".git" / "index")
    before = tree_of(settled.root)
    run = run_tracked([sys.executable, "destroy.py"], store=store, directory=settled.root)
    assert run.version, run.problem
    checkout(run.version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out", without=()) == before
    assert (settled.root / "dos.txt").read_text() == "gone"


def test_new_files_are_read_at_once(repo: Repo) -> None:
    """A change right after the look might leave the times of a file as they are, so one written just now is read."""
    os.utime(repo.root / ".git" / "index")
    assert unread(repo) == set()


@pytest.mark.parametrize("attribute", ["filter=x", "ident", "working-tree-encoding=latin1"])
def test_filtered_files_are_read_at_once(settled: Repo, attribute: str) -> None:
    """Git's copy of a file with a filter may be other bytes, of the same size."""
    (settled.root / ".git" / "info" / "attributes").write_text(f"*.py {attribute}\n")
    assert "train.py" not in unread(settled)
    assert "no-newline" in unread(settled)


def test_files_of_other_bytes_than_gits_are_read_at_once(settled: Repo) -> None:
    """A file with CRLF is clean to git, whose copy has LF."""
    (settled.root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (settled.root / "new.txt").write_bytes(b"one\r\ntwo\r\n")
    settled.commit()
    os.utime(settled.root / ".git" / "index")
    assert settled.git("status", "--porcelain") == ""
    assert "new.txt" not in unread(settled)
    assert "train.py" in unread(settled)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_files_that_git_does_not_look_at_are_read_at_once(settled: Repo, flag: str) -> None:
    """Git's word on a file counts only where it looks."""
    settled.git("update-index", flag, "train.py")
    assert "train.py" not in unread(settled)


def test_changes_that_git_was_misled_about_are_found(settled: Repo, store: JobStore, tmp_path: Path) -> None:
    """An index that vouches for another content than the file has makes no difference to the job."""
    right = settled.git("rev-parse", "HEAD:train.py").strip()
    (settled.root / "train.py").write_text("print('six')\nprint('ten')\n")
    settled.git("add", "train.py")
    index = settled.root / ".git" / "index"
    added = settled.git("rev-parse", ":train.py").strip()
    wrong = index.read_bytes()[:-20].replace(bytes.fromhex(added), bytes.fromhex(right))
    index.write_bytes(wrong + hashlib.sha1(wrong, usedforsecurity=False).digest())
    before = tree_of(settled.root)
    assert "train.py" in unread(settled)
    with hold_source(settled.root, store) as held:
        version = version_of(held.finish())
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out", without=()) == before
