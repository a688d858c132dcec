"""Brings a program's files home: regular files only, never outside the folder, never over the limit."""

from __future__ import annotations

import errno
import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from typing_extensions import override

from launch_jobs.errors import Unavailable

_UNUSABLE = frozenset({errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL})
_CHUNK = 1 << 20


class OutputFolder:
    """A folder that fills with outputs. The names come from the program: they are judged, not trusted."""

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self._folder = folder
        self._room = limit_bytes
        self._kept: set[PurePosixPath] = set()
        self._left_out: set[str] = set()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Paths not kept, sorted."""
        return tuple(sorted(self._left_out))

    def leave_out(self, path: PurePosixPath) -> None:
        """Note a path that is not kept."""
        self._left_out.add(str(path).encode(errors="replace").decode())

    def keep(self, path: PurePosixPath, size: int, source: IO[bytes]) -> None:
        """Copy `size` bytes into the folder; the first file of a name wins.

        Raises:
            Unavailable: the folder cannot be written (disk full).
        """
        if path in self._kept or not _is_safe(path) or (self._room is not None and size > self._room):
            self.leave_out(path)
            return
        try:
            self._write(self._folder / path, source)
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise Unavailable(f"cannot write outputs to {self._folder}: {error.strerror}") from error
            self.leave_out(path)
            return
        self._kept.add(path)
        if self._room is not None:
            self._room -= size

    def _write(self, target: Path, source: IO[bytes]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)


def keep_tree(outputs: OutputFolder, top: Path, prefix: PurePosixPath, since: float = 0) -> None:
    """Keep the files of a folder, or one file, of this host; links are not followed, nothing there is no error.

    With `since` (in seconds since 1970), as far as the program wrote them: not the older ones, nor Python's byte code.
    """
    if top.is_dir() and not top.is_symlink():
        for entry in sorted(top.iterdir()):
            keep_tree(outputs, entry, prefix / entry.name, since)
    elif (top.is_symlink() or top.exists()) and (not since or _is_written(prefix, top.lstat().st_mtime, since)):
        if top.is_file() and not top.is_symlink():
            _keep_file(outputs, top, prefix)
        else:
            outputs.leave_out(prefix)


def _keep_file(outputs: OutputFolder, file: Path, path: PurePosixPath) -> None:
    try:
        with file.open("rb") as source:
            outputs.keep(path, file.stat().st_size, source)
    except PermissionError:
        outputs.leave_out(path)


def keep_archive(
    outputs: OutputFolder, archive: Iterable[bytes], prefix: PurePosixPath, *, strip: int, since: float = 0
) -> None:
    """Keep the files of a tar stream, under `prefix`, without the first `strip` parts of their names.

    With `since` as `keep_tree`.

    Raises:
        Unavailable: the archive ends too early, or the folder cannot be written.
    """
    try:
        with tarfile.open(fileobj=_Stream(iter(archive)), mode="r|") as tar:
            for member in tar:
                path = prefix.joinpath(*PurePosixPath(member.name).parts[strip:])
                if since and not _is_written(path, member.mtime, since):
                    continue
                content = tar.extractfile(member) if member.isreg() else None
                if content:
                    outputs.keep(path, member.size, content)
                elif not member.isdir():
                    outputs.leave_out(path)
    except tarfile.TarError as error:
        raise Unavailable(f"the archive of outputs is damaged: {error}", do="Try again") from error


def _is_written(path: PurePosixPath, modified: float, since: float) -> bool:
    return modified >= since and "__pycache__" not in path.parts


def _is_safe(path: PurePosixPath) -> bool:
    """Whether a path stays inside the folder and can be told in JSON (UTF-8)."""
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in str(path):
        return False
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Stream(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)
