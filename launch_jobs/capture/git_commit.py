"""Capture a commit of a local repository, with a patch on top or not, whatever its work tree holds now."""

from __future__ import annotations

import tempfile
from pathlib import Path

from launch_jobs.capture.code import pack_tree
from launch_jobs.capture.git import Git, GitFailedError, scratch, write_files, write_tree
from launch_jobs.capture.git_checkout import FolderContent
from launch_jobs.capture.git_remote import clean_url, fetch_ref
from launch_jobs.capture.remote_way import allowed_remote
from launch_jobs.capture.secrets import check_secrets
from launch_jobs.capture.tree import Blobs, Snapshot, scan_tree, see
from launch_jobs.errors import CaptureError
from launch_jobs.job import GitSource, Origin, tree_digest

LARGEST_BYTES = 2 << 30
"""Of a tree that is stored whole."""

LARGEST_PATCH_BYTES = 256 << 20
"""Of a patch that comes from elsewhere."""


def snapshot_commit(where: Path | str, ref: str, store: Blobs, patch: Path | None = None) -> Snapshot:
    """Capture a commit with a patch on top.

    Of a local repository the whole tree is stored, so that no remote is needed; of a remote one only the patch is.
    Its `root` is a temporary folder with the tree, gone when the snapshot is closed.

    Args:
        where: folder of a local repository, or the address of a remote one.
        ref: branch, tag or commit.
        store: takes the blobs.
        patch: what `git diff` wrote; it must fit without fuzz.

    Raises:
        CaptureError: there is no such commit, the patch does not fit it, or the tree cannot be carried.
        Unavailable: the remote does not answer, or has no such ref.
        Refused: the remote is of a kind that we do not fetch from, or what the patch changes holds a secret.
    """
    if isinstance(where, str):
        allowed_remote(where)
    if patch and patch.stat().st_size > LARGEST_PATCH_BYTES:
        raise CaptureError(f"{patch} is larger than {LARGEST_PATCH_BYTES:,} bytes")
    folder = tempfile.TemporaryDirectory(prefix="launch-jobs-source-")
    try:
        return _snapshot(where, ref, store, (folder, patch))
    except BaseException:
        folder.cleanup()
        raise


def _snapshot(
    where: Path | str, ref: str, store: Blobs, parts: tuple[tempfile.TemporaryDirectory[str], Path | None]
) -> Snapshot:
    folder, patch = parts
    there = Path(folder.name).resolve()
    if isinstance(where, str):
        private = scratch(there, "sha256" if len(ref) == 64 else "sha1")
        commit = fetch_ref(private, where, ref)
    else:
        private, commit = _local(where, ref, there)
    tree = there / "tree"
    tree.mkdir()
    _fill(private, (commit, patch), where, tree)
    notes = _judged(private, commit, tree) if patch else []
    entries = scan_tree(tree)
    return Snapshot(
        source=GitSource(commit=commit, tree=tree_digest(list(entries))),
        origin=_origin(where, patch, tree, store).model_copy(update={"notes": tuple(notes)}),
        root=tree,
        files=entries,
        content=FolderContent(folder, tree),
    )


def _local(where: Path, ref: str, folder: Path) -> tuple[Git, str]:
    """A scratch repository that reads the local one's objects, and the commit that a ref means there."""
    here = Git(where, user=True)
    try:
        commit = here.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except GitFailedError as error:
        raise CaptureError(f"{where} has no commit {ref!r}", do="Fetch it there, or name another clone") from error
    answers = here.text(
        *("rev-parse", "--path-format=absolute", "--git-path", "objects", "--git-path", "shallow"),
    ).split("\n")
    objects, shallow = Path(answers[0]), Path(answers[-1])
    kind = "sha256" if len(commit) == 64 else "sha1"
    return scratch(folder, kind, objects, shallow if shallow.exists() else None), commit


def _fill(private: Git, what: tuple[str, Path | None], where: Path | str, tree: Path) -> None:
    commit, patch = what
    shown = clean_url(where) if isinstance(where, str) else where
    try:
        write_tree(private, commit, None)
        if patch and patch.stat().st_size:
            private.run("apply", "--cached", "--binary", "--whitespace=nowarn", str(patch))
    except GitFailedError as error:
        raise CaptureError(
            f"{patch or 'nothing'} does not fit commit {commit} of {shown}: {error}",
            do="Apply it by hand in a clone, and capture that: launch job create git PATH -- CMD",
        ) from error
    submodules = [record for record in private.paths("ls-files", "-z", "--stage") if record.startswith("160000 ")]
    if submodules:
        raise CaptureError(
            f"{shown} has the submodule {submodules[0].partition(chr(9))[2]!r}, which no commit of it holds",
            do="Apply the patch by hand in a clone (git clone --recurse-submodules), and capture that: "
            "launch job create git PATH -- CMD",
        )
    try:
        write_files(private, tree)
    except GitFailedError as error:
        raise CaptureError(f"commit {commit} of {shown} cannot be written: {error}") from error


def _judged(private: Git, commit: str, tree: Path) -> list[str]:
    """Notes on the files that a patch changed, as they are with it: nobody else has them."""
    changed = private.paths("diff-index", "-z", "--cached", "--name-only", "--no-renames", "--diff-filter=d", commit)
    return check_secrets(tree, [one for path in changed if (one := see(tree, path))])


def _origin(where: Path | str, patch: Path | None, tree: Path, store: Blobs) -> Origin:
    if isinstance(where, str):
        stored = store.put_blob(patch) if patch and patch.stat().st_size else None
        return Origin(remote=clean_url(where), patch=stored)
    with tempfile.TemporaryDirectory(prefix="launch-jobs-source-") as folder:
        archive = pack_tree(tree, Path(folder) / "source.tar")
        if archive.stat().st_size > LARGEST_BYTES:
            raise CaptureError(
                f"the source in {where} takes more than {LARGEST_BYTES:,} bytes", do="Push it, and name the remote"
            )
        return Origin(archive=store.put_blob(archive))
