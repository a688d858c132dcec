"""Write a git source's tree again: the commit from its remote or bundle, the patch on top, byte for byte."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from launch_jobs.capture.git import GitFailedError, scratch, write_files, write_tree
from launch_jobs.capture.git_remote import clean_url, fetch_commit, fetch_ref
from launch_jobs.capture.tree import Blobs, Snapshot, scan_tree
from launch_jobs.errors import BadInput, CaptureError, StoreError
from launch_jobs.job import CodeSource, GitSource, JobVersion, Origin, TreeEntry, tree_digest
from launch_jobs.names import Digest


def checkout_git(version: JobVersion, store: Blobs, into: Path) -> None:
    """Write the tree of a job with a git source into an empty folder; no repository is left in it.

    The caller compares the tree's digest.

    Raises:
        StoreError: origin and blobs do not give the commit, or the patch does not fit it.
        Unavailable: the remote does not answer.
        Refused: the remote is of a kind that we do not fetch from.
    """
    source, origin = version.job.source, version.origin
    if not isinstance(source, GitSource):
        raise BadInput(f"job {version.reference} has no git source")
    with tempfile.TemporaryDirectory(prefix="launch-jobs-checkout-") as folder:
        private = scratch(Path(folder), "sha256" if len(source.commit) == 64 else "sha1")
        bundle, patch = (
            _blob(store, digest, Path(folder) / name)
            for digest, name in ((origin.bundle, "commit.bundle"), (origin.patch, "changes.patch"))
        )
        try:
            fetch_commit(private, source.commit, origin.remote, bundle)
            write_tree(private, source.commit, patch)
            write_files(private, into)
        except GitFailedError as error:
            raise StoreError(f"the source of job {version.reference} cannot be written: {error}") from error


class FolderContent:
    """Captured content in a temporary folder of our own, which nobody else changes."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], tree: Path) -> None:
        self._folder, self._tree = folder, tree

    def rebuild(self, source: GitSource | CodeSource, origin: Origin, store: Blobs, into: Path) -> None:
        """Write the tree again: it came out of the remote itself, so that there is nothing else to prove."""
        shutil.copytree(self._tree, into, symlinks=True, dirs_exist_ok=True)

    def read(self, entry: TreeEntry) -> bytes:
        """Content, or a link's target."""
        file = self._tree / entry.path
        # Path.readlink would drop `./` and a last `/`.
        return os.fsencode(os.readlink(file)) if entry.mode == "link" else file.read_bytes()  # noqa: PTH115

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def snapshot_remote(url: str, ref: str = "HEAD") -> Snapshot:
    """Capture a branch, tag or commit of a remote repository without a checkout of the user's.

    Its `root` is a temporary folder with the tree, gone when the snapshot is closed. No blob is needed.

    Raises:
        CaptureError: the address holds a relative path, or the tree cannot be carried.
        Unavailable: the remote does not answer, or has no such ref.
        Refused: the remote is of a kind that we do not fetch from.
    """
    folder = tempfile.TemporaryDirectory(prefix="launch-jobs-source-")
    try:
        return _snapshot_remote(url, ref, folder)
    except GitFailedError as error:
        folder.cleanup()
        raise CaptureError(f"cannot read {ref!r} of {clean_url(url)}: {error}") from error
    except BaseException:
        folder.cleanup()
        raise


def _snapshot_remote(url: str, ref: str, folder: tempfile.TemporaryDirectory[str]) -> Snapshot:
    private = scratch(Path(folder.name), "sha1")
    commit = fetch_ref(private, url, ref)
    tree = Path(folder.name).resolve() / "tree"
    tree.mkdir()
    write_tree(private, commit, None)
    submodules = [record for record in private.paths("ls-files", "-z", "--stage") if record.startswith("160000 ")]
    if submodules:
        raise CaptureError(
            f"{clean_url(url)} has the submodule {submodules[0].partition(chr(9))[2]!r}, which no commit of it holds",
            do="Capture a clone, whose submodules travel: git clone --recurse-submodules, "
            "then launch job create git PATH -- CMD",
        )
    write_files(private, tree)
    entries = scan_tree(tree)
    return Snapshot(
        source=GitSource(commit=commit, tree=tree_digest(list(entries))),
        origin=Origin(remote=clean_url(url)),
        root=tree,
        files=entries,
        content=FolderContent(folder, tree),
    )


def _blob(store: Blobs, digest: Digest | None, into: Path) -> Path | None:
    if digest is None:
        return None
    store.get_blob(digest, into)
    return into
