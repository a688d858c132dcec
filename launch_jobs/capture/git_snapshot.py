"""Capture a git work tree exactly: its commit, and one patch with every difference of the files from it.

The bytes in the work tree decide, never what git's index or filters make of them: every file is read, its git name is
computed here, and what differs from the commit becomes a tree in a scratch repository, and then a patch. The user's
repository, index and files are only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from launch_jobs.capture.git import Git, GitFailedError, Repository, scratch, write_tree
from launch_jobs.capture.git_remote import choose_remote, write_bundle
from launch_jobs.capture.tree import (
    LIMIT_BYTES,
    NEVER_SOURCE,
    Blobs,
    FileChangedError,
    SeenFile,
    Snapshot,
    Stamp,
    check_limit,
    check_unchanged,
    copy_seen,
    in_real_folder,
    see,
)
from launch_jobs.errors import CaptureError
from launch_jobs.job import GitSource, Origin, TreeEntry, tree_digest
from launch_jobs.names import sha256

# `git apply` refuses larger patches (MAX_APPLY_SIZE in its apply.c).
_PATCH_LIMIT_BYTES = 1023 << 20

_MODES = {"644": "100644", "755": "100755", "link": "120000"}


@dataclass(frozen=True, slots=True)
class _Looked:
    """A work tree as we saw it.

    Attributes:
        seen: every file, by path.
        stamps: the state of every path that git knows or would add, None for what is not there.
        base: the commit's files: path → (mode, object id).
    """

    seen: dict[str, SeenFile]
    stamps: dict[str, Stamp | None]
    base: dict[str, tuple[str, str]]

    @property
    def changed(self) -> list[SeenFile]:
        """Files that are not as in the commit."""
        return [one for path, one in self.seen.items() if self.base.get(path) != (_git_mode(one), one.object_id)]

    @property
    def gone(self) -> list[str]:
        """Paths of the commit that are no file now."""
        return [path for path in self.base if path not in self.seen]


@dataclass(frozen=True, slots=True)
class _GitContent:
    """Captured content: changed files in the scratch folder, all others in the working file or the commit."""

    folder: tempfile.TemporaryDirectory[str]
    git: Git
    root: Path
    objects: dict[str, str]

    def read(self, entry: TreeEntry) -> bytes:
        if entry.mode != "link" and (data := _working_bytes(self.root / entry.path, entry)) is not None:
            return data
        return self.git.run("cat-file", "blob", self.objects[entry.path])

    def close(self) -> None:
        self.folder.cleanup()


def snapshot_git(
    repository: Repository, commit: str, store: Blobs, *, without: Collection[str] = (), limit_bytes: int = LIMIT_BYTES
) -> Snapshot:
    """Capture a work tree; bundle and patch are in the store afterwards.

    Args:
        repository: the user's; only read.
        commit: what is checked out there.
        store: takes the blobs.
        without: untracked paths, relative to the root, that are not source (outputs of earlier tracked runs).
        limit_bytes: most bytes of uncommitted files.

    Raises:
        CaptureError: something cannot be carried exactly; names it and says what to do.
    """
    first = None
    for _ in range(2):
        folder = tempfile.TemporaryDirectory(prefix="launch-jobs-source-")
        try:
            return _snapshot(repository, commit, store, _Options(folder, frozenset(without), limit_bytes))
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
class _Options:
    folder: tempfile.TemporaryDirectory[str]
    without: frozenset[str]
    limit_bytes: int


def _snapshot(repository: Repository, commit: str, store: Blobs, options: _Options) -> Snapshot:
    private = scratch(
        Path(options.folder.name), repository.object_format, objects=repository.objects, shallow=repository.shallow
    )
    try:
        looked = _look(repository, commit, options.without)
        check_limit(looked.changed, options.limit_bytes, repository.root)
        patch = _patch(repository, commit, looked, private)
    except GitFailedError as error:
        raise CaptureError(f"git cannot capture {repository.root}: {error}") from error
    check_unchanged(repository.root, looked.stamps)
    entries = sorted((one.entry for one in looked.seen.values()), key=lambda entry: entry.path)
    return Snapshot(
        source=GitSource(commit=commit, tree=tree_digest(entries)),
        origin=_origin(repository, commit, private, store).model_copy(
            update={"patch": store.put_blob(patch) if patch else None}
        ),
        root=repository.root,
        files=tuple(entries),
        content=_GitContent(
            options.folder, private, repository.root, {path: one.object_id for path, one in looked.seen.items()}
        ),
    )


def _look(repository: Repository, commit: str, without: frozenset[str]) -> _Looked:
    """Read every file that git tracks or would add."""
    base = _commit_files(repository.git, commit)
    tracked, sparse = _tracked(repository)
    real = in_real_folder(repository.root)
    seen: dict[str, SeenFile] = {}
    stamps: dict[str, Stamp | None] = {}
    for path in sorted({*tracked, *_untracked(repository, without)}):
        one = see(repository.root, path, repository.object_format) if real(path) else None
        if one is None and path in sparse:
            raise CaptureError(
                f"{path!r} is left out by a sparse checkout of {repository.root}", do="Run git sparse-checkout disable"
            )
        if one:
            seen[path] = one
        if real(path):
            stamps[path] = one.stamp if one else None
    return _Looked(seen, stamps, base)


def _commit_files(git: Git, commit: str) -> dict[str, tuple[str, str]]:
    files: dict[str, tuple[str, str]] = {}
    for record in git.paths("ls-tree", "-r", "-z", "--full-tree", commit):
        about, _, path = record.partition("\t")
        mode, _, object_id = about.split(" ")
        files[path] = (mode, object_id)
    return files


def _tracked(repository: Repository) -> tuple[set[str], set[str]]:
    """Paths in the index, and those of them that a sparse checkout may leave out.

    Raises:
        CaptureError: one is a submodule.
    """
    tracked: set[str] = set()
    sparse: set[str] = set()
    for record in repository.git.paths("ls-files", "-z", "-t", "--stage"):
        about, _, path = record.partition("\t")
        tag, mode, *_ = about.split(" ")
        if mode == "160000":
            raise CaptureError(
                f"the submodule {path!r} of {repository.root} cannot be carried yet",
                do="Copy its files into the repository, or capture from a folder without git",
            )
        tracked.add(path)
        if tag == "S":
            sparse.add(path)
    return tracked, sparse


def _untracked(repository: Repository, without: frozenset[str]) -> list[str]:
    """Paths that git would add: not ignored, and not what tools leave beside the source.

    Raises:
        CaptureError: one is a repository of its own.
    """
    listed = repository.git.paths("ls-files", "-z", "--others", "--exclude-standard")
    environments = tuple(path.removesuffix("pyvenv.cfg") for path in listed if path.endswith("/pyvenv.cfg"))
    found: list[str] = []
    for path in listed:
        if path in without or NEVER_SOURCE & set(path.split("/")) or path.startswith(environments):
            continue
        if path.endswith("/"):
            raise CaptureError(
                f"{path!r} in {repository.root} is a git repository of its own and cannot be carried",
                do="Ignore it (.gitignore), or move it out",
            )
        found.append(path)
    return found


def _patch(repository: Repository, commit: str, looked: _Looked, private: Git) -> Path | None:
    """Write the patch from the commit to the work tree, and prove that it gives exactly that; None for no change."""
    if not looked.changed and not looked.gone:
        return None
    _add_contents(repository.root, looked.changed, private)
    private.run("read-tree", commit)
    private.run("update-index", "-z", "--index-info", stdin=_index_changes(looked))
    tree = private.text("write-tree")
    patch = private.folder / "changes.patch"
    private.run(
        *("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"),
        *("--no-color", "--src-prefix=a/", "--dst-prefix=b/", f"--output={patch}", commit, tree),
    )
    if patch.stat().st_size > _PATCH_LIMIT_BYTES:
        raise CaptureError(
            f"the patch of {repository.root}'s uncommitted changes is larger than git can apply", do="Commit them"
        )
    if write_tree(private, commit, patch) != tree:
        raise CaptureError(f"the uncommitted changes of {repository.root} cannot be carried as a patch")
    return patch


def _add_contents(root: Path, changed: list[SeenFile], private: Git) -> None:
    """Put the content of changed files, as it was seen, into the scratch repository, all in one pack."""
    with tempfile.TemporaryFile(dir=private.folder) as stream:
        for one in changed:
            stream.write(b"blob\ndata %d\n" % one.size)
            copy_seen(root, one, stream)
            stream.write(b"\n")
        stream.seek(0)
        private.run("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", stdin=stream)


def _index_changes(looked: _Looked) -> bytes:
    """What `git update-index --index-info` needs to turn the commit into the work tree; deletions first."""
    removed = [f"0 {'0' * len(looked.base[path][1])}\t{path}\0" for path in looked.gone]
    added = [f"{_git_mode(one)} {one.object_id}\t{one.entry.path}\0" for one in looked.changed]
    return "".join([*removed, *added]).encode()


def _origin(repository: Repository, commit: str, private: Git, store: Blobs) -> Origin:
    remote = choose_remote(repository, commit)
    url = remote.url if remote else None
    if remote and remote.has_commit:
        return Origin(remote=url)
    return Origin(remote=url, bundle=store.put_blob(write_bundle(repository, private, commit, remote)))


def _working_bytes(file: Path, entry: TreeEntry) -> bytes | None:
    """The working file's content if it is still what was captured: no git process for the usual case."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    return data if sha256(data) == entry.digest else None


def _git_mode(one: SeenFile) -> str:
    return _MODES[one.entry.mode]
