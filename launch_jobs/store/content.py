"""Files in and out of the store, by digest: whatever leaves the store is checked first."""

from __future__ import annotations

import errno
import hashlib
import secrets
import shutil
import tempfile
import zlib
from contextlib import suppress
from gzip import GzipFile
from pathlib import Path

from launch_jobs.errors import NotFound, StoreError, Unavailable
from launch_jobs.names import Digest
from launch_jobs.store import Objects
from launch_jobs.store.envelope import corrupt

_FAST = 1
"""Level of compression: logs pack well at any, and an agent has little time."""

_PIECE = 1 << 20

_PASSING = {
    errno.EIO: "See the kernel log: the disk may be failing",
    errno.ENOSPC: "Make room on that disk, then try again",
    errno.EDQUOT: "Make room or raise the quota, then try again",
    errno.ESTALE: "The network file system went away: try again",
    errno.ETIMEDOUT: "The network file system does not answer: try again",
    errno.EMFILE: "Raise the limit of open files (ulimit -n)",
    errno.ENFILE: "Raise the limit of open files",
}
"""Failures that can pass, and what to do."""


def os_failure(what: str, error: OSError) -> StoreError | Unavailable:
    """Our error for an operating system's: `Unavailable` where trying again can help."""
    said = error.strerror or str(error)
    number = error.errno or 0
    if number in _PASSING:
        return Unavailable(f"{what}: {said}", do=_PASSING[number])
    return StoreError(f"{what}: {said}", do="Check that it exists and that this user may read and write there")


def digest_file(path: Path) -> Digest:
    """The digest of a file, read in pieces.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise os_failure(f"cannot read {path}", error) from error


def put_file(objects: Objects, key: str, path: Path, digest: Digest) -> None:
    """Upload a file whose content is named by `digest`.

    Raises:
        StoreError: the file is not, or no longer, what the digest says; nothing wrong stays in the store.
    """
    before = _signature(path)
    if digest_file(path) != digest:
        raise _changed(path)
    try:
        objects.upload(key, path)
    except OSError as error:
        raise os_failure(f"cannot read {path}", error) from error
    if _signature(path) != before:
        _discard_unless_whole(objects, key, digest)
        raise _changed(path)


def pack(path: Path, into: Path) -> None:
    """Compress a file in pieces; the same content gives the same bytes.

    Raises:
        StoreError, Unavailable: it cannot be read, or there is no room for `into`.
    """
    try:
        with path.open("rb") as file, into.open("wb") as raw, GzipFile("", "wb", _FAST, raw, mtime=0) as packed:
            shutil.copyfileobj(file, packed, _PIECE)
    except OSError as error:
        raise os_failure(f"cannot compress {path}", error) from error


def unpack(path: Path, into: Path) -> None:
    """Undo `pack`.

    Raises:
        StoreError, Unavailable: it is damaged, or there is no room for `into`.
    """
    try:
        with GzipFile(path) as packed, into.open("wb") as file:
            shutil.copyfileobj(packed, file, _PIECE)
    except (OSError, EOFError, zlib.error) as error:
        failure = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
        raise os_failure(f"cannot unpack {path}", failure) from error


def fetch_file(objects: Objects, key: str, digest: Digest, into: Path) -> None:
    """Download content into a file, which appears only when it is whole.

    Raises:
        StoreError: the object is missing, truncated or changed, or `into` cannot be written; nothing is at `into`
            that was not there before.
    """
    part = into.with_name(f".launch-{secrets.token_hex(8)}.part")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        objects.download(key, part)
        if digest_file(part) != digest:
            raise corrupt(key, f"its content is not {digest}")
        part.replace(into)
    except NotFound as error:
        raise corrupt(key, "it is missing") from error
    except OSError as error:
        raise os_failure(f"cannot copy job store object {key} into {into}", error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise os_failure(f"cannot read {path}", error) from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _changed(path: Path) -> StoreError:
    return StoreError(f"{path} changed while it was being stored", do="Wait until nothing writes it, then try again")


def _discard_unless_whole(objects: Objects, key: str, digest: Digest) -> None:
    with tempfile.TemporaryDirectory(prefix="launch-jobs-") as folder:
        try:
            fetch_file(objects, key, digest, Path(folder) / "content")
        except StoreError:
            objects.delete(key)
