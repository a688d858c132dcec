"""The job store: versions, records, blobs, and what runs leave. One layout over exchangeable object keepers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


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

    def delete(self, key: str) -> None:
        """Remove; a missing key is no error."""
        ...
