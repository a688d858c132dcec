"""Snapshots of the user's source, and writing them again: git where there is a commit, else the folder as it is."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.basics import basics
from launch_jobs.capture.held import HeldSource
from launch_jobs.capture.limits import Limits
from launch_jobs.capture.tree import Blobs, Snapshot, scan_tree
from launch_jobs.errors import BadInput, CaptureError, StoreError

if TYPE_CHECKING:
    from launch_jobs.job import CodeSource, GitSource, JobVersion

__all__ = ["Blobs", "Limits", "Snapshot", "checkout", "hold_source", "snapshot_source", "usual_limits"]


def snapshot_source(
    directory: Path, store: Blobs, *, without: Collection[str] = (), limits: Limits | None = None
) -> Snapshot:
    """Capture the source a folder belongs to, at once; arguments and errors are those of `hold_source`."""
    held = hold_source(directory, store, without=without, limits=limits)
    try:
        return held.finish()
    except BaseException:
        held.close()
        raise


def hold_source(
    directory: Path, store: Blobs, *, without: Collection[str] = (), limits: Limits | None = None
) -> HeldSource:
    """Capture the source a folder belongs to: its git work tree with every uncommitted change, else the folder.

    A repository without a commit, or one that ignores the folder, counts as no repository. Blobs are in the store
    afterwards; nothing in the folder or its repository is changed.

    Args:
        directory: where the program runs, or the source root itself.
        store: takes the blobs.
        without: paths relative to the root that are not source, such as outputs of earlier tracked runs. With git,
            tracked files are source all the same.
        limits: most to carry: of uncommitted files with git, of all files without; None: as the settings say.

    Raises:
        BadInput: the folder does not exist.
        CaptureError: something cannot be carried exactly; names it and says what to do.
        Refused: what would be carried holds a secret.
    """
    if not directory.is_dir():
        raise BadInput(f"{str(directory)!r} is no folder")
    _need_utf8()
    root = directory.resolve()
    limits = limits or usual_limits()
    if _may_be_repository(root):
        held = _hold_git(root, store, without, limits)
        if held:
            return held
    from launch_jobs.capture.code import snapshot_code

    return HeldSource.whole(snapshot_code(root, store, without=without, limits=limits))


def usual_limits(secret_files: Iterable[str] = ()) -> Limits:
    """Limits as the settings say, and files that may hold secrets."""
    return Limits.of(basics().source_limit_bytes, secret_files)


def _make_place(tree: Path, directory: str) -> None:
    """Make the folder that the program runs in: a tree has no empty folders, and one may be where it was started."""
    place = tree / directory
    if place.resolve().is_relative_to(tree.resolve()):
        with suppress(OSError):  # a file is there: the start will say so
            place.mkdir(parents=True, exist_ok=True)


def checkout(version: JobVersion, store: Blobs, into: Path) -> None:
    """Write a job's source tree, byte for byte, into a folder that is empty or does not exist yet.

    Either the whole tree is there afterwards, with the job's digest, or nothing.

    Raises:
        BadInput: the job has an image for source, or the folder is not empty.
        StoreError: the store or remote gives another tree than was captured.
        Unavailable: the remote does not answer.
    """
    from launch_jobs.job import ImageSource, tree_digest

    source = version.job.source
    if isinstance(source, ImageSource):
        raise BadInput(f"job {version.label} is the image {source.reference} and has no source to check out")
    if into.is_symlink() or (into.exists() and (not into.is_dir() or any(into.iterdir()))):
        raise BadInput(f"{str(into)!r} is not an empty folder", do="Name a folder that does not exist yet")
    into = into.absolute()  # git runs in another folder than we
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".launch-checkout-", dir=into.parent) as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        _write(version, source, store, tree)
        found = tree_digest(list(scan_tree(tree)))
        if found != source.tree:
            raise StoreError(f"the source of job {version.reference} came out as {found}, captured was {source.tree}")
        _make_place(tree, version.job.entrypoint.directory)
        tree.replace(into)


def _write(version: JobVersion, source: GitSource | CodeSource, store: Blobs, tree: Path) -> None:
    from launch_jobs.job import CodeSource

    if isinstance(source, CodeSource) or version.origin.archive:
        from launch_jobs.capture.code import checkout_code

        checkout_code(version, store, tree)
        return
    _need_git()
    from launch_jobs.capture.git_checkout import checkout_git

    checkout_git(version, store, tree)


def _hold_git(root: Path, store: Blobs, without: Collection[str], limits: Limits) -> HeldSource | None:
    _need_git()
    from launch_jobs.capture.git import find_repository
    from launch_jobs.capture.git_snapshot import hold_git

    repository = find_repository(root)
    if repository is None or repository.commit is None or repository.ignores(root):
        return None
    return hold_git(repository, repository.commit, store, without=without, limits=limits)


def _may_be_repository(root: Path) -> bool:
    """Whether asking git is worth its start: a `.git` in or above the folder, or the look of a bare repository."""
    above = (root, *root.parents)
    return any((one / ".git").exists() for one in above) or any(
        (one / "HEAD").is_file() and (one / "objects").is_dir() for one in above
    )


def _need_utf8() -> None:
    """In another encoding of file names we would look for other names than git knows."""
    if sys.getfilesystemencoding() != "utf-8":
        raise CaptureError("this locale's file names are not UTF-8", do="Set PYTHONUTF8=1, or a UTF-8 locale")


def _need_git() -> None:
    if shutil.which("git") is None:
        raise CaptureError("the source is a git repository, but git is not on PATH", do="Install git")
