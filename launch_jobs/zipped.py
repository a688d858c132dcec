"""Zip files that are the same bytes for the same content, and strangers' zip files read with care.

Members are stored, not compressed: no library version changes a byte, and nothing in a file can be larger than it.
Names of members are compared, never used as paths.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from typing_extensions import override

_TIME = (1980, 1, 1, 0, 0, 0)
_LARGEST_DIRECTORY = 32 << 20
_ZIP64 = 0x7FFF0000
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)
"""What `zipfile` raises for files that are none."""


class DamagedZipError(Exception):
    """The file is no zip file, or not one that `write_zip` writes; the text says why."""


def write_zip(path: Path, members: Mapping[str, Path | bytes]) -> None:
    """Write a new zip file with these members, in their order."""
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as opened:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with (
                io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source,
                opened.open(info, "w", force_zip64=size > _ZIP64) as member,
            ):
                shutil.copyfileobj(source, member, _CHUNK)


@dataclass(frozen=True, slots=True)
class Members:
    """The members of an open zip file: plain files, each name once."""

    opened: zipfile.ZipFile
    infos: Mapping[str, zipfile.ZipInfo]

    def read(self, name: str, *, limit: int) -> bytes:
        """A member's content.

        Raises:
            DamagedZipError: there is none of that name, it is larger than the limit, or damaged.
        """
        with self._open(name, limit) as member:
            return member.read()

    def extract(self, name: str, into: Path, *, limit: int) -> None:
        """Write a member's content into a new file.

        Raises:
            DamagedZipError: as `read`.
        """
        with self._open(name, limit) as member, into.open("xb") as file:
            shutil.copyfileobj(member, file, _CHUNK)

    @contextmanager
    def _open(self, name: str, limit: int) -> Generator[IO[bytes]]:
        info = self.infos.get(name)
        if info is None:
            raise DamagedZipError(f"{name!r} is missing")
        if info.file_size > limit:
            raise DamagedZipError(f"{name!r} is larger than {limit:,} bytes")
        try:
            with self.opened.open(info) as member:
                yield member
        except _DAMAGE as error:
            raise DamagedZipError(f"{name!r}: {error}") from error


@contextmanager
def open_zip(path: Path) -> Generator[Members]:
    """Open a zip file of anyone's.

    Raises:
        DamagedZipError: it is none, or holds what `write_zip` never writes: compressed, encrypted or repeated members,
            folders, links, more bytes than the file has.
        OSError: it cannot be read.
    """
    with _Measured(path) as file:
        try:
            opened = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise DamagedZipError(str(error)) from error
        with opened:
            infos = {info.filename: info for info in opened.infolist()}
            if len(infos) != len(opened.infolist()):
                raise DamagedZipError("a name is there twice")
            for info in infos.values():
                _check(info)
            if sum(info.file_size for info in infos.values()) > os.fstat(file.fileno()).st_size:
                raise DamagedZipError("its members claim to be larger than the file")
            yield Members(opened, infos)


def _check(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    if not stored or info.flag_bits & 0x1 or info.is_dir() or not (stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0):
        raise DamagedZipError(f"{info.filename!r} is no plain stored file")


class _Measured(io.FileIO):
    """A file of which nobody reads a large piece at once: a list of members may claim any length."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        wanted = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if wanted > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("its list of members is too long")
        return super().read(wanted) or b""
