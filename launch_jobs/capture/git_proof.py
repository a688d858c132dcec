"""Rebuild a git source from what a job holds of it, with the user's own objects in the place of the remote."""

from __future__ import annotations

import tempfile
from pathlib import Path

from launch_jobs.capture.git import Git, Repository, scratch, write_files, write_tree
from launch_jobs.capture.git_remote import prerequisites, unbundle
from launch_jobs.capture.tree import Blobs
from launch_jobs.errors import StoreError
from launch_jobs.job import CodeSource, GitSource, Origin


def rebuild_git(
    repository: Repository, source: GitSource | CodeSource, origin: Origin, store: Blobs, into: Path
) -> None:
    """Write a git source's tree into an empty folder, as a checkout elsewhere does.

    Not proven: that the remote still answers, and that its branches still have what our copies of them say. The
    commits that it is said to have are taken from the user's repository; bundle and patch from the store.

    Raises:
        GitFailedError: the bundle does not build on these commits, or the patch does not fit.
        StoreError: bundle or patch is not what was written.
    """
    if not isinstance(source, GitSource):
        raise StoreError(f"the tree {source.tree} is not git's")
    with tempfile.TemporaryDirectory(prefix="launch-jobs-proof-") as name:
        folder = Path(name)
        if origin.bundle:
            store.get_blob(origin.bundle, folder / "commit.bundle")
            private = _unbundled(repository, source.commit, folder)
        else:
            private = _scratch(repository, folder)
        if origin.patch:
            store.get_blob(origin.patch, folder / "changes.patch")
        write_tree(private, source.commit, folder / "changes.patch" if origin.patch else None)
        write_files(private, into)


def _unbundled(repository: Repository, commit: str, folder: Path) -> Git:
    """A repository that has the bundle's commit, and from elsewhere only what the bundle builds on."""
    bundle = folder / "commit.bundle"
    private = scratch(folder, repository.object_format)
    needed = prerequisites(bundle)
    if needed:
        (folder / "remote").mkdir()
        remote = _scratch(repository, folder / "remote")
        wanted = [f"{one}:refs/launch/have/{one}" for one in needed]
        private.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1", str(remote.git_dir), *wanted)
    unbundle(private, commit, bundle)
    return private


def _scratch(repository: Repository, folder: Path) -> Git:
    return scratch(folder, repository.object_format, objects=repository.objects, shallow=repository.shallow)
