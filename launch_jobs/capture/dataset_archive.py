"""A dataset's files as one archive, and back: each file is read once, and hashed on its way."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.tree import Stamp, stamp_of, walk
from launch_jobs.errors import CaptureError, Refused, StoreError
from launch_jobs.job import TreeEntry, tree_digest
from launch_jobs.names import Digest, sha256

MOST_FILES = 1_000_000
MOST_BYTES = 100 << 30
"""Of one dataset that the job store carries; what is larger belongs into S3."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What is in an archive.

    Attributes:
        digest: of the tree.
        files: how many files and links.
        size: bytes of all.
    """

    digest: Digest
    files: int
    size: int


def pack_dataset(place: Path, archive: Path, name: str) -> Packed:
    """Write a file (called `name` then), or every file below a folder, into an archive; links in it stay links.

    Deterministic: sorted, without times and owners.

    Raises:
        CaptureError: something is no file, cannot be read, changes meanwhile, or is over the limits; names it.
        Refused: a file's name says that it holds secrets.
    """
    paths = {name: str(place)} if place.is_file() else {path: f"{place}/{path}" for path in sorted(_paths(place))}
    entries: list[TreeEntry] = []
    size = 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in paths.items():
            entry, added = _add(tar, file, path)
            entries.append(entry)
            size += added
            if size > MOST_BYTES:
                _refuse(place, f"more than {MOST_BYTES:,} bytes")
            _forget(tar)
    return Packed(tree_digest(entries), len(entries), size)


def unpack_dataset(archive: Path, into: Path, is_cancelled: Callable[[], bool] = lambda: False) -> Digest | None:
    """Write an archive's files into an empty folder, then its links, so that nothing is written through a link.

    Returns:
        The digest of the tree that was written; None if it was cancelled meanwhile.

    Raises:
        StoreError: the archive holds anything that `pack_dataset` never writes.
        tarfile.TarError, OSError: it is damaged, or cannot be written.
    """
    entries: list[TreeEntry] = []
    links: list[tuple[str, str]] = []
    with tarfile.open(archive, "r|") as tar:
        while member := tar.next():
            if is_cancelled():
                return None
            _check(member)
            if member.issym():
                links.append((member.name, member.linkname))
            else:
                entries.append(_write(tar, member, into / member.name))
            _forget(tar)
    names = {path for path, _ in links}
    for path, target in links:
        if any(str(parent) in names for parent in PurePosixPath(path).parents):
            raise StoreError(f"the archive holds {path!r} below a link, which no dataset has")
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).symlink_to(target)
        entries.append(TreeEntry(path=path, mode="link", digest=sha256(os.fsencode(target))))
    return tree_digest(entries)


def _forget(tar: tarfile.TarFile) -> None:
    """Drop what the archive remembers of its members: a million would take a gigabyte."""
    vars(tar)["members"].clear()


def _paths(place: Path) -> list[str]:
    found: list[str] = []
    for path in walk(place):
        found.append(path)
        if len(found) > MOST_FILES:
            _refuse(place, f"more than {MOST_FILES:,} files")
    if not found:
        raise CaptureError(f"the dataset {str(place)!r} holds no file", do="Name a file or folder that has the data")
    return found


def _refuse(place: Path, much: str) -> None:
    raise CaptureError(
        f"the dataset {str(place)!r} is {much}, too much for the job store",
        do="Put it into S3 and declare s3://bucket/prefix/, or declare a part of it",
    )


def _add(tar: tarfile.TarFile, file: str, path: str) -> tuple[TreeEntry, int]:
    if kind := denied_kind(path) or denied_kind(file):
        raise Refused(f"the dataset's file {file!r} holds secrets, by its name: {kind}", do="Leave it out")
    stamp = stamp_of(file)
    if stamp is None:
        raise _changed(file)
    return _add_link(tar, file, path) if os.path.islink(file) else _add_file(tar, file, path, stamp)  # noqa: PTH114


def _add_link(tar: tarfile.TarFile, file: str, path: str) -> tuple[TreeEntry, int]:
    info = tarfile.TarInfo(path)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(file), 0o777  # noqa: PTH115 # keeps a last `/`
    tar.addfile(info)
    return TreeEntry(path=path, mode="link", digest=sha256(os.fsencode(info.linkname))), 0


def _add_file(tar: tarfile.TarFile, file: str, path: str, stamp: Stamp) -> tuple[TreeEntry, int]:
    mode: Literal["644", "755"] = "755" if stamp[0] & 0o100 else "644"
    info = tarfile.TarInfo(path)
    info.size, info.mode = stamp[1], int(mode, 8)
    try:
        # Not following a link and not blocking on a pipe that came in the file's place meanwhile.
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as opened:  # noqa: PTH123
            content = _Hashing(opened)
            tar.addfile(info, content)  # pyright: ignore[reportArgumentType] # it only reads
    except OSError as error:
        raise CaptureError(f"{file!r} cannot be read: {error.strerror or error}", do="Make it readable") from error
    if stamp_of(file) != stamp:
        raise _changed(file)
    return TreeEntry(path=path, mode=mode, digest=content.digest), info.size


def _changed(file: str) -> CaptureError:
    return CaptureError(f"{file!r} changed while it was being stored", do="Stop its writer, then try again")


class _Hashing:
    """Reads or writes a file and knows the digest of what went through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    @property
    def digest(self) -> Digest:
        return "sha256:" + self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)


def _check(member: tarfile.TarInfo) -> None:
    plain = (member.isreg() and not member.issparse()) or member.issym()
    if not plain or {"", ".", ".."} & set(member.name.split("/")) or "\0" in member.name:
        raise StoreError(f"the archive holds {member.name!r}, which no dataset has")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> TreeEntry:
    content = tar.extractfile(member)
    if content is None:
        raise StoreError(f"the archive holds no content for {member.name!r}")
    file.parent.mkdir(parents=True, exist_ok=True)
    executable = bool(member.mode & 0o100)
    with content, file.open("xb") as out:
        hashing = _Hashing(out)
        shutil.copyfileobj(content, hashing, 1 << 20)
    file.chmod(0o555 if executable else 0o444)
    return TreeEntry(path=member.name, mode="755" if executable else "644", digest=hashing.digest)
