"""Files and folders of the agent's as members of a tar stream, read-only for whoever gets them, never in memory."""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UNTOUCHED = 507314353
"""A date that no file has, 28 January 1986, 16:39:13 UTC: what has it was there before the program."""

TarFormat = Literal[0, 1, 2]
"""`tarfile`'s own numbers."""

_READ_ONLY_FILE = 0o444
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        info: what its header says.
        file: with its content; None: it has none.
    """

    info: tarfile.TarInfo
    file: Path | None = None


def folder_member(path: str, mode: int) -> Member:
    """A folder."""
    return Member(_info(path, tarfile.DIRTYPE, mode))


def members(path: str, source: Path, folder_mode: int) -> Iterator[Member]:
    """A file, or a folder and all below it; links stay links, for what they lead to may be the agent's own.

    Args:
        path: in the archive.
        source: on the agent.
        folder_mode: of folders.
    """
    yield _member(path, source, folder_mode)
    if source.is_dir() and not source.is_symlink():
        for one in sorted(source.rglob("*")):
            yield _member(f"{path}/{one.relative_to(source).as_posix()}", one, folder_mode)


def streamed(member: Member, tar_format: TarFormat = tarfile.PAX_FORMAT) -> Iterator[bytes]:
    """The bytes of an entry.

    Raises:
        OSError: its file cannot be read, or changes meanwhile.
    """
    yield member.info.tobuf(tar_format)
    if member.file is None:
        return
    left = member.info.size
    with member.file.open("rb") as file:
        while chunk := file.read(_CHUNK):
            left -= len(chunk)
            yield chunk
    if left:
        raise OSError(errno.EIO, f"{member.file} changed while it was read")
    yield _padding(member.info)


def length(member: Member, tar_format: TarFormat = tarfile.PAX_FORMAT) -> int:
    """How many bytes an entry takes."""
    return len(member.info.tobuf(tar_format)) + member.info.size + len(_padding(member.info))


def _member(path: str, source: Path, folder_mode: int) -> Member:
    if source.is_symlink():
        link = _info(path, tarfile.SYMTYPE, 0o777)
        link.linkname = os.readlink(source)  # noqa: PTH115 # keeps a last `/`
        return Member(link)
    if source.is_dir():
        return folder_member(path, folder_mode)
    found = source.stat()
    info = _info(path, tarfile.REGTYPE, _READ_ONLY_FILE | found.st_mode & 0o111)
    info.size = found.st_size
    return Member(info, source)


def _info(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode, info.mtime = kind, mode, UNTOUCHED
    return info


def _padding(info: tarfile.TarInfo) -> bytes:
    return bytes(-info.size % tarfile.BLOCKSIZE)
