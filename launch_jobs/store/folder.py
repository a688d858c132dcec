"""The folder kind of the job store: one file an object, written whole or not at all. The door to `filelock`.

Every path is walked from the root by directory descriptors that follow no symbolic link, so a link planted inside
the store leads nowhere. Files are 0600, folders 0700.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from launch_jobs.errors import NotFound, StoreError, Unavailable
from launch_jobs.names import Digest
from launch_jobs.store import Entry
from launch_jobs.store.content import os_failure
from launch_jobs.store.envelope import LARGEST_BYTES, corrupt
from launch_jobs.store.keys import check_key, is_key

_PARTS = ".parts"
"""Where files are written before they get their name; on the store's own file system."""

_LOCK = ".lock"
_OLD_PART = timedelta(days=1)
_LOCK_WAIT_S = 60.0
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderObjects:
    """Objects as files under one folder of a local file system; safe for many processes and threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def get(self, key: str) -> bytes:
        """The whole object; refuses a file larger than any document."""
        with self._failures(key), self._reading(key) as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise corrupt(key, f"larger than {LARGEST_BYTES} bytes")
        return data

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write durably unless the key exists; whether we wrote."""
        return self._create(key, BytesIO(data))

    def replace(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Compare-and-set under the store's lock; whether we wrote."""
        if expected is None:
            return self._create(key, BytesIO(data))
        with self._failures(key), self._locked(), self._folder(key, create=True) as (folder, name):
            try:
                current = self.get(key)
            except NotFound:
                return False
            if current != expected:
                return False
            with self._part(BytesIO(data)) as (parts, part):
                os.rename(part, name, src_dir_fd=parts, dst_dir_fd=folder)
            os.fsync(folder)
            return True

    def upload(self, key: str, path: Path) -> None:
        """Write a file's content durably; an existing object is left as it is."""
        with path.open("rb") as source:
            self._create(key, source)

    def download(self, key: str, path: Path) -> None:
        """Write the object into a new file; the caller checks the content, and sees `path`'s own `OSError`s."""
        with ExitStack() as opened:
            with self._failures(key):
                source = opened.enter_context(self._reading(key))
            target = opened.enter_context(path.open("xb"))
            shutil.copyfileobj(source, target, 1 << 20)

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix, sorted; parts of files, links and strangers' names are not among them."""
        parts = check_key(prefix.removesuffix("/"))
        with self._failures(prefix):
            files = _files(self._root.joinpath(*parts), prefix)
            yield from sorted(key for key, file in files if is_key(key) and file.is_file(follow_symlinks=False))

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """What lies under a prefix, or everything (strangers' files and links too), sorted by key."""
        parts = check_key(prefix.removesuffix("/")) if prefix else ()
        with self._failures(prefix):
            for key, file in sorted(_files(self._root.joinpath(*parts), prefix), key=itemgetter(0)):
                with suppress(FileNotFoundError):
                    found = file.stat(follow_symlinks=False)
                    yield Entry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def digest(self, key: str) -> Digest:
        """The digest of an object's content, read in pieces."""
        with self._failures(key), self._reading(key) as file:
            content = hashlib.sha256()
            while piece := file.read(1 << 20):
                content.update(piece)
        return f"sha256:{content.hexdigest()}"

    def touch(self, key: str) -> None:
        """Make an object young."""
        with self._failures(key), self._locked(), self._folder(key) as (folder, name):
            os.utime(name, dir_fd=folder, follow_symlinks=False)

    def delete_older(self, key: str, before: datetime) -> bool:
        """Remove unless it was written or touched since `before`; whether it is gone."""
        with suppress(NotFound), self._failures(key), self._locked(), self._folder(key) as (folder, name):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime >= before.timestamp():
                return False
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        return True

    def unfinished(self, before: datetime, *, remove: bool = False) -> list[str]:
        """Files whose writer was killed before they got their name; with `remove` they are gone then."""
        found: list[str] = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._root / _PARTS) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                        found.append(f"{_PARTS}/{entry.name}")
                        if remove:
                            Path(entry.path).unlink(missing_ok=True)
        return sorted(found)

    def delete(self, key: str) -> None:
        """Remove; a missing key is no error."""
        with suppress(NotFound), self._failures(key), self._locked(), self._folder(key) as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def prepare(self, marker: str, data: bytes) -> None:
        """Make the folder a store: mark it if it is new or empty, and clear away what killed writers left long ago.

        Raises:
            StoreError: it is no folder, holds something else's files, or everyone may write there.
        """
        with self._failures(marker), self._folder(marker, create=True) as (folder, name):
            if os.fstat(folder).st_mode & stat.S_IWOTH:
                raise StoreError(f"job store {self._root} is writable by everyone", do=f"chmod 700 {self._root}")
            marked = _exists(name, folder)
            # The mark is looked for again: another process may have made the store between the two looks, mark first.
            if not marked and not _is_empty(folder) and not _exists(name, folder):
                raise StoreError(f"{self._root} is no job store: it has other files", do="Name a new or empty folder")
        if not marked:
            self.put_if_absent(marker, data)
        with suppress(OSError):
            self.unfinished(datetime.now(UTC) - _OLD_PART, remove=True)

    def _create(self, key: str, source: BinaryIO) -> bool:
        with self._failures(key), self._folder(key, create=True) as (folder, name):
            if not _exists(name, folder):
                with self._part(source) as (parts, part), suppress(FileExistsError):
                    os.link(part, name, src_dir_fd=parts, dst_dir_fd=folder, follow_symlinks=False)
                    os.fsync(folder)
                    return True
            os.fsync(folder)  # the other writer may not have come so far, and our caller relies on the object
            return False

    @contextmanager
    def _part(self, source: BinaryIO) -> Generator[tuple[int, str]]:
        """A whole, durable file without its name yet: descriptor of its folder, and its own name there."""
        name = secrets.token_hex(16)
        with self._open_folder((_PARTS,), create=True) as parts:
            opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parts)
            try:
                with os.fdopen(opened, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                yield parts, name
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parts)

    @contextmanager
    def _reading(self, key: str) -> Generator[BinaryIO]:
        with self._folder(key) as (folder, name):
            # O_NONBLOCK: opening a planted FIFO must not wait for a writer.
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(opened, "rb") as file:
                if not stat.S_ISREG(os.fstat(opened).st_mode):
                    raise corrupt(key, "not a regular file")
                yield file

    @contextmanager
    def _folder(self, key: str, *, create: bool = False) -> Generator[tuple[int, str]]:
        """Descriptor of the folder that a key lies in, and its name there."""
        *folders, name = check_key(key)
        with self._open_folder(tuple(folders), create=create) as folder:
            yield folder, name

    @contextmanager
    def _open_folder(self, parts: tuple[str, ...], *, create: bool) -> Generator[int]:
        if create:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The root itself may be a link: that is the operator's own choice.
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                parent, folder = folder, _enter(folder, part, create=create)
                os.close(parent)
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One lock for the whole store: only moving an alias, replacing a log and deleting take it."""
        with self._open_folder((), create=True):
            pass
        try:
            with FileLock(self._root / _LOCK, timeout=_LOCK_WAIT_S, mode=0o600):
                yield
        except Timeout as error:
            raise Unavailable(
                f"the job store in {self._root} is locked for {_LOCK_WAIT_S:.0f} s", do="End the process that holds it"
            ) from error

    @contextmanager
    def _failures(self, key: str) -> Generator[None]:
        what = f"job store object {key} in {self._root}"
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"{what} does not exist") from error
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise StoreError(
                    f"{what} lies behind a link or a file", do="Remove that, and see who put it"
                ) from error
            raise os_failure(what, error) from error


def _enter(parent: int, name: str, *, create: bool) -> int:
    """Open a folder inside another, made durably if need be; closes nothing."""
    if create and not _exists(name, parent):
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, _FOLDER_FLAGS, dir_fd=parent)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_empty(folder: int) -> bool:
    """Whether a folder holds nothing but hidden files, our own among them."""
    with os.scandir(folder) as entries:
        return all(entry.name.startswith(".") for entry in entries)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Keys and files below a folder, with whatever else is no folder; not our own hidden names at the top."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            key = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if key != _PARTS:
                    yield from _files(Path(entry.path), f"{key}/")
            elif key != _LOCK:
                yield key, entry
