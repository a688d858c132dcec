"""Source trees on disk: look at files exactly, notice when they change meanwhile, and what a snapshot of them is."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, Self

from launch_jobs.errors import BadInput, CaptureError

if TYPE_CHECKING:
    from launch_jobs.job import CodeSource, GitSource, Origin, TreeEntry
    from launch_jobs.names import Digest

NEVER_SOURCE = frozenset({"__pycache__", ".DS_Store"})
"""Names of things that tools write beside the source; carrying them would make a new version of every run."""

_CHUNK = 1 << 20
# What opening a path says when something else came in the file's place since we looked.
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE}

Mode = Literal["644", "755", "link"]
ObjectFormat = Literal["sha1", "sha256"]
Stamp = tuple[int, ...]
"""What a file's inode says of its state: mode, size, change times, inode number."""


class Blobs(Protocol):
    """The part of a job store that sources need: content-addressed files."""

    def put_blob(self, path: Path) -> Digest:
        """Keep a file's content."""
        ...

    def get_blob(self, digest: Digest, into: Path) -> None:
        """Write content into a new file, verified."""
        ...


class Content(Protocol):
    """Gives captured content, whatever happened to the working files since."""

    def read(self, entry: TreeEntry) -> bytes:
        """The captured bytes of one file; of a link, its target."""
        ...

    def rebuild(self, source: GitSource | CodeSource, origin: Origin, store: Blobs, into: Path) -> None:
        """Write the tree again, into an empty folder, from what the job store holds; without network."""
        ...

    def close(self) -> None:
        """Free what holds the content; again is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A captured source tree; a context manager that frees its temporary files at the end.

    Attributes:
        source: what identifies the tree.
        origin: where it can be had again; its blobs are in the store.
        root: the folder it was captured from, absolute, symbolic links resolved.
        files: every file and link, sorted by path.
        content: the keeper of the captured bytes.
    """

    source: GitSource | CodeSource
    origin: Origin
    root: Path
    files: tuple[TreeEntry, ...]
    content: Content

    def read(self, path: str) -> bytes:
        """The captured bytes of a file (of a link: its target), even when the working file has changed since.

        Raises:
            BadInput: no such file in the snapshot.
        """
        for entry in self.files:
            if entry.path == path:
                return self.content.read(entry)
        raise BadInput(f"{path!r} is not in the snapshot of {self.root}")

    def close(self) -> None:
        """Free the temporary files."""
        self.content.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SpecialFileError(CaptureError):
    """A socket, pipe or device: nothing that a tree can hold."""


class FileChangedError(Exception):
    """A file changed while it was being captured; the capture may be tried again."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class SeenFile:
    """One file as it was when we looked at it.

    Attributes:
        path: relative to the tree's root.
        mode: as git keeps it.
        digest: of the content; empty while only git's word says what that is.
        size: bytes.
        stamp: to notice a later change.
        object_id: git's name of the content, empty when it was not asked for.
        elsewhere: the file that was read in the place of the one in the tree; empty: that one itself.
    """

    path: str
    mode: Mode
    digest: str
    size: int
    stamp: Stamp
    object_id: str = ""
    elsewhere: str = ""

    @property
    def entry(self) -> TreeEntry:
        """The file as part of a tree."""
        from launch_jobs.job import TreeEntry

        return TreeEntry(path=self.path, mode=self.mode, digest=self.digest)

    def file(self, root: Path) -> str:
        """The file on disk that holds the content."""
        return self.elsewhere or f"{root}/{self.path}"


def stamp_of(file: str) -> Stamp | None:
    """The state of a file or link now; None when nothing is there, or a folder.

    Raises:
        SpecialFileError: a socket, pipe or device is there.
    """
    try:
        found = os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise SpecialFileError(
            f"{file!r} is a socket, pipe or device and cannot be captured", do="Remove it, or ignore it by name"
        )
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def see(root: Path, path: str, object_format: ObjectFormat | None = None, *, elsewhere: str = "") -> SeenFile | None:
    """Read one file or link to know its digest; None when nothing is there, or a folder.

    Args:
        root: the tree's.
        path: of the file in the tree.
        object_format: to know git's name of the content as well.
        elsewhere: a file to read in the place of that one.

    Raises:
        CaptureError: it is neither file nor link, or cannot be read; names it.
        FileChangedError: it changed while we read it.
    """
    file = elsewhere or f"{root}/{path}"  # text, for building a Path costs more than looking at the file
    stamp = stamp_of(file)
    if stamp is None:
        return None
    size = stamp[1]
    content, blob = hashlib.sha256(), hashlib.new(object_format or "sha256", b"blob %d\0" % size, usedforsecurity=False)
    for chunk in _chunks(file, path, stamp):
        content.update(chunk)
        if object_format:
            blob.update(chunk)
    digest, object_id = "sha256:" + content.hexdigest(), blob.hexdigest() if object_format else ""
    return SeenFile(path, mode_of(stamp), digest, size, stamp, object_id, elsewhere)


def copy_seen(root: Path, seen: SeenFile, out: BinaryIO) -> None:
    """Copy a file's content (of a link: its target), which must still be what was seen.

    Raises:
        FileChangedError: it is not.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(seen.file(root), seen.path, seen.stamp):
        digest.update(chunk)
        out.write(chunk)
    if "sha256:" + digest.hexdigest() != seen.digest:
        raise FileChangedError(seen.path)


def check_unchanged(root: Path, stamps: Mapping[str, Stamp | None]) -> None:
    """Look again at every file that was captured.

    Raises:
        FileChangedError: one is not as it was.
    """
    for path, stamp in stamps.items():
        if stamp_of(f"{root}/{path}") != stamp:
            raise FileChangedError(path)


def check_link(root: Path, path: str) -> None:
    """Refuse a link out of the tree: what it points to would not be there elsewhere.

    Raises:
        CaptureError: it is one; names it and its target.
    """
    if target := link_leaves(root, path):
        raise CaptureError(
            f"the link {path!r} in {root} points outside, to {target!r}, and cannot be carried",
            do="Put the file in its place, ignore the link, or name its target as a dataset",
        )


def link_leaves(root: Path, path: str) -> str | None:
    """A link's target, when that is outside the tree; None when it is inside."""
    target = os.fsencode((root / path).readlink()).decode("utf-8", "backslashreplace")
    return target if leaves(path, target) else None


def leaves(path: str, target: str) -> bool:
    """Whether a link's target is outside the tree, or says so by an absolute path."""
    if target.startswith("/"):
        return True
    landed = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return landed == ".." or landed.startswith("../")


def in_real_folder(root: Path) -> Callable[[str], bool]:
    """A test whether a path's parents are true folders: below a link, git does not see files, and nor do we."""

    @cache
    def real(folder: str) -> bool:
        if not folder:
            return True
        try:
            return real(folder.rpartition("/")[0]) and stat.S_ISDIR((root / folder).lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    return lambda path: real(path.rpartition("/")[0])


def walk(root: Path, keep: Callable[[str, bool], bool] | None = None) -> Iterator[str]:
    """Paths of everything below a folder that is no folder, sorted within each; links are not followed.

    Args:
        root: the folder.
        keep: decides by path and whether it is a folder; a folder not kept is not entered.

    Raises:
        CaptureError: a folder cannot be listed; names it.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        except OSError as error:
            raise CaptureError(f"cannot list {str(root / folder)!r}: {error.strerror}") from error
        for name, is_folder in entries:
            path = f"{folder}/{name}" if folder else name
            if keep and not keep(path, is_folder):
                continue
            if is_folder:
                folders.append(path)
            else:
                yield path


def scan_tree(root: Path) -> tuple[TreeEntry, ...]:
    """Every file and link below a folder, sorted by path.

    Raises:
        CaptureError: something there is neither file, link nor folder, or cannot be read; names it.
    """
    seen = (see(root, path) for path in walk(root))
    return tuple(sorted((one.entry for one in seen if one), key=lambda entry: entry.path))


def mode_of(stamp: Stamp) -> Mode:
    """A file's mode as git keeps it."""
    if stat.S_ISLNK(stamp[0]):
        return "link"
    return "755" if stamp[0] & stat.S_IXUSR else "644"


def _chunks(file: str, path: str, stamp: Stamp) -> Iterator[bytes]:
    """The content in pieces, of exactly the size that the stamp says."""
    try:
        if stat.S_ISLNK(stamp[0]):
            yield os.fsencode(os.readlink(file))  # noqa: PTH115  Path.readlink would drop `./` and a last `/`
            return
        left = stamp[1]
        # Not following a link and not blocking on a pipe that came in the file's place meanwhile.
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as opened:  # noqa: PTH123
            while chunk := opened.read(_CHUNK):
                left -= len(chunk)
                yield chunk
        if left:
            raise FileChangedError(path)
    except OSError as error:
        if error.errno in _CHANGED:
            raise FileChangedError(path) from error
        raise CaptureError(f"{file!r} cannot be read: {error.strerror}", do="Make it readable, or ignore it") from error
