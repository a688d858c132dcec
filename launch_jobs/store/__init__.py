"""The job store: versions, records, blobs, and what runs leave. One layout over exchangeable object keepers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from launch_jobs.names import Digest


class Entry(NamedTuple):
    """One object of a listing.

    Attributes:
        key: its key; in a listing of everything also a stranger's.
        size: bytes.
        modified: when it was written or touched last, by the storage's clock.
    """

    key: str
    size: int
    modified: datetime


class Objects(Protocol):
    """Keeps named byte objects; the only thing a new kind of storage must provide.

    Keys are `/`-separated, made by us, and safe as paths. Reads raise `NotFound` for a missing key; every call raises
    `Unavailable` when the storage does not answer and `StoreError` when it cannot be written.
    """

    def get(self, key: str) -> bytes:
        """The whole object."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write durably unless the key exists; whether we wrote. Exactly one of many writers wins."""
        ...

    def replace(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Compare-and-set: write if the object's content is `expected` (None: absent); whether we wrote."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write a file's content durably; for content-addressed keys, so an existing object is left as it is."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Write the object into a new file."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix that ends with `/`, sorted."""
        ...

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """What lies under a prefix that ends with `/`, or everything (strangers' objects too), sorted by key."""
        ...

    def digest(self, key: str) -> Digest:
        """The digest of an object's content, read in pieces."""
        ...

    def touch(self, key: str) -> None:
        """Make an object young, so that who removes old ones leaves it."""
        ...

    def delete(self, key: str) -> None:
        """Remove; a missing key is no error."""
        ...

    def delete_older(self, key: str, before: datetime) -> bool:
        """Remove unless it was written or touched since `before`; whether it is gone."""
        ...

    def unfinished(self, before: datetime, *, remove: bool = False) -> list[str]:
        """Names of what killed writers left half-written before a time; with `remove` it is gone then."""
        ...
