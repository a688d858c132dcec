"""From a store's URL to the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from launch_jobs.errors import BadInput, NotFound, StoreError
from launch_jobs.store import keys
from launch_jobs.store.access import S3Access
from launch_jobs.store.documents import MarkerDocument
from launch_jobs.store.envelope import seal, unseal
from launch_jobs.store.folder import FolderObjects

if TYPE_CHECKING:
    from launch_jobs.store.s3 import S3Objects

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SUPPORTED = "Supported are file:///absolute/folder and s3://bucket or s3://bucket/prefix"


def open_objects(url: str, access: S3Access | None = None) -> FolderObjects | S3Objects:
    """The objects of the store at a URL, which an empty place becomes.

    Raises:
        BadInput: the URL names no kind of store that there is, or no bucket.
        StoreError: what is there is something else's, or cannot be read or written.
        Unavailable: it does not answer.
    """
    try:
        objects = _named(url, access)
        document = _marker(objects)
    except NotFound as error:
        raise StoreError(f"the job store {url} cannot be made", do="Name another by LAUNCH_JOBS_STORE") from error
    unseal(keys.MARKER, document, MarkerDocument)
    return objects


def _named(url: str, access: S3Access | None) -> FolderObjects | S3Objects:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadInput(f"{url!r} is no job store: {error}", do=_SUPPORTED) from error
    root = unquote(parts.path)
    if parts.query or parts.fragment or "\0" in root:
        raise BadInput(f"{url!r} is no job store", do=_SUPPORTED)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and root.startswith("/"):
        return FolderObjects(Path(root))
    prefix = root.strip("/")
    if parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and (not prefix or keys.is_key(prefix)):
        from launch_jobs.store.s3 import S3Objects

        return S3Objects(parts.netloc, prefix, access)
    raise BadInput(f"{url!r} is no job store", do=_SUPPORTED)


def _marker(objects: FolderObjects | S3Objects) -> bytes:
    """The mark, made if there is none; a folder is looked at each time, a bucket only if it has none."""
    if isinstance(objects, FolderObjects):
        objects.prepare(keys.MARKER, seal(keys.MARKER, MarkerDocument()))
    try:
        return objects.get(keys.MARKER)
    except NotFound:
        objects.prepare(keys.MARKER, seal(keys.MARKER, MarkerDocument()))
        return objects.get(keys.MARKER)
