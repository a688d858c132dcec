"""Capture a git work tree exactly: its commit, and one patch with every difference of the files from it.

The bytes in the work tree decide, never what git's index or filters make of them: every file is read, its git name is
computed here, and what differs from the commit becomes a tree in a scratch repository, and then a patch. The user's
repository, index and files are only read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.capture.git import Git, GitFailedError, Repository, scratch
from launch_jobs.capture.git_carried import carried_files
from launch_jobs.capture.git_files import Looked, git_mode, look
from launch_jobs.capture.git_filters import note_filters
from launch_jobs.capture.git_remote import (
    Remote,
    check_bundle,
    choose_remote,
    prerequisites,
    remote_notes,
    unreachable_notes,
    write_bundle,
)
from launch_jobs.capture.git_vouched import read_rest
from launch_jobs.capture.held import HeldSource
from launch_jobs.capture.limits import Limits, Meter
from launch_jobs.capture.secret_history import check_history
from launch_jobs.capture.secrets import check_secrets
from launch_jobs.capture.tree import Blobs, FileChangedError, SeenFile, Snapshot, check_unchanged, copy_seen
from launch_jobs.errors import CaptureError
from launch_jobs.names import sha256

if TYPE_CHECKING:
    from launch_jobs.job import CodeSource, GitSource, Origin, TreeEntry

# `git apply` refuses larger patches (MAX_APPLY_SIZE in its apply.c).
_PATCH_LIMIT_BYTES = 1023 << 20


@dataclass(frozen=True, slots=True)
class _GitContent:
    """Captured content: changed files in the scratch folder, all others in the working file or the commit."""

    folder: tempfile.TemporaryDirectory[str]
    git: Git
    repository: Repository
    objects: dict[str, str]

    def rebuild(self, source: GitSource | CodeSource, origin: Origin, store: Blobs, into: Path) -> None:
        from launch_jobs.capture.git_proof import rebuild_git

        rebuild_git(self.repository, source, origin, store, into)

    def read(self, entry: TreeEntry) -> bytes:
        if entry.mode != "link" and (data := _working_bytes(self.repository.root / entry.path, entry)) is not None:
            return data
        return self.git.run("cat-file", "blob", self.objects[entry.path])

    def close(self) -> None:
        self.folder.cleanup()


def hold_git(
    repository: Repository, commit: str, store: Blobs, *, without: Collection[str] = (), limits: Limits
) -> HeldSource:
    """Hold a work tree; when it is finished, bundle and patch are in the store.

    Args:
        repository: the user's; only read.
        commit: what is checked out there.
        store: takes the blobs.
        without: untracked paths, relative to the root, that are not source (outputs of earlier tracked runs).
        limits: most that uncommitted files may be.

    Raises:
        CaptureError: something cannot be carried exactly; names it and says what to do.
        Refused: a file that no remote has holds a secret.
    """
    first = None
    for _ in range(2):
        folder = tempfile.TemporaryDirectory(prefix="launch-jobs-source-")
        try:
            return _hold(_Asked(repository, commit, store, frozenset(without), limits), folder)
        except FileChangedError as error:
            folder.cleanup()
            first = error
        except BaseException:
            folder.cleanup()
            raise
    raise CaptureError(
        f"{str(repository.root / str(first))!r} keeps changing while it is captured", do="Ignore it, or stop its writer"
    ) from first


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `hold_git` is asked for."""

    repository: Repository
    commit: str
    store: Blobs
    without: frozenset[str]
    limits: Limits


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of a work tree once everything is safe that a program could overwrite."""

    asked: _Asked
    folder: tempfile.TemporaryDirectory[str]
    private: Git
    looked: Looked
    remote: Remote | None


def _hold(asked: _Asked, folder: tempfile.TemporaryDirectory[str]) -> HeldSource:
    repository = asked.repository
    private = scratch(
        Path(folder.name), repository.object_format, objects=repository.objects, shallow=repository.shallow
    )
    try:
        looked = look(repository, asked.commit, asked.without, Meter(asked.limits, repository.root))
        note_filters(repository, looked)
        looked.notes.extend(
            check_secrets(repository.root, carried_files(repository, asked.commit, looked), asked.limits.secret_files)
        )
        held = _Held(asked, folder, private, looked, choose_remote(repository, asked.commit))
        looked.notes.extend(_check_history(held))
        _add_contents(repository.root, looked.changed, private)
    except GitFailedError as error:
        raise CaptureError(f"git cannot capture {repository.root}: {error}") from error
    check_unchanged(repository.root, looked.stamps)
    return HeldSource(repository.root, frozenset(looked.seen), lambda: _finish(held), folder.cleanup)


def _check_history(held: _Held) -> list[str]:
    """Judge what commits bring that travel with the job."""
    if held.remote and held.remote.has_commit:
        return []
    if held.asked.repository.shallow:
        check_bundle(held.asked.repository, held.asked.commit, held.remote)
    present = (one.object_id for one in held.looked.seen.values())
    return check_history(held.asked.repository, held.asked.commit, present, held.asked.limits.secret_files)


def _finish(held: _Held) -> Snapshot:
    """The snapshot of what was held, with all that was left for later."""
    from launch_jobs.job import GitSource, tree_digest

    repository, looked = held.asked.repository, held.looked
    try:
        _read_rest(held)
        patch = _patch(repository, held.asked.commit, looked, held.private)
    except GitFailedError as error:
        raise CaptureError(f"git cannot capture {repository.root}: {error}") from error
    entries = sorted((one.entry for one in looked.seen.values()), key=lambda entry: entry.path)
    origin, notes = _origin(held)
    stored = held.asked.store.put_blob(patch) if patch else None
    return Snapshot(
        source=GitSource(commit=held.asked.commit, tree=tree_digest(entries)),
        origin=origin.model_copy(update={"patch": stored, "notes": (*notes, *looked.notes)}),
        root=repository.root,
        files=tuple(entries),
        content=_GitContent(
            held.folder, held.private, repository, {path: one.object_id for path, one in looked.seen.items()}
        ),
    )


def _read_rest(held: _Held) -> None:
    """Read what git vouched for; where its word was wrong, the file is a changed one as well."""
    root, looked, limits = held.asked.repository.root, held.looked, held.asked.limits
    before = {one.path for one in looked.changed}
    read_rest(held.asked.repository, looked.seen)
    late = [one for one in looked.changed if one.path not in before]
    if not late:
        return
    looked.notes.extend(check_secrets(root, late, limits.secret_files))
    try:
        _add_contents(root, late, held.private)
    except FileChangedError as error:
        raise CaptureError(f"{str(root / str(error))!r} keeps changing while it is captured") from error


def _patch(repository: Repository, commit: str, looked: Looked, private: Git) -> Path | None:
    """Write the patch from the commit to the work tree; None for no change. The proof of the capture tries it."""
    if not looked.changed and not looked.gone:
        return None
    private.run("read-tree", commit)
    private.run("update-index", "-z", "--index-info", stdin=_index_changes(looked))
    # Asking for each object of the commit, as git does by itself, takes longer than all the rest.
    tree = private.text("write-tree", "--missing-ok")
    patch = private.folder / "changes.patch"
    private.run(
        *("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"),
        *("--no-color", "--src-prefix=a/", "--dst-prefix=b/", f"--output={patch}", commit, tree),
    )
    if patch.stat().st_size > _PATCH_LIMIT_BYTES:
        raise CaptureError(
            f"the patch of {repository.root}'s uncommitted changes is larger than git can apply", do="Commit them"
        )
    return patch


def _add_contents(root: Path, changed: list[SeenFile], private: Git) -> None:
    """Put the content of changed files, as it was seen, into the scratch repository, all in one pack."""
    if not changed:
        return
    with tempfile.TemporaryFile(dir=private.folder) as stream:
        for one in changed:
            stream.write(b"blob\ndata %d\n" % one.size)
            copy_seen(root, one, stream)
            stream.write(b"\n")
        stream.seek(0)
        private.run("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", stdin=stream)


def _index_changes(looked: Looked) -> bytes:
    """What `git update-index --index-info` needs to turn the commit into the work tree; deletions first."""
    removed = [f"0 {'0' * len(looked.base[path][1])}\t{path}\0" for path in looked.gone]
    added = [f"{git_mode(one)} {one.object_id}\t{one.path}\0" for one in looked.changed]
    return os.fsencode("".join([*removed, *added]))


def _origin(held: _Held) -> tuple[Origin, list[str]]:
    from launch_jobs.job import Origin

    repository, commit, remote = held.asked.repository, held.asked.commit, held.remote
    url, notes = (remote.url, remote_notes(repository, remote)) if remote else (None, [])
    if remote and remote.has_commit:
        return Origin(remote=url), [*notes, *unreachable_notes(held.private, remote)]
    bundle = write_bundle(repository, held.private, commit, remote)
    if remote and prerequisites(bundle):
        notes.extend(unreachable_notes(held.private, remote))
    return Origin(remote=url, bundle=held.asked.store.put_blob(bundle)), notes


def _working_bytes(file: Path, entry: TreeEntry) -> bytes | None:
    """The working file's content if it is still what was captured: no git process for the usual case."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return data if sha256(data) == entry.digest else None
