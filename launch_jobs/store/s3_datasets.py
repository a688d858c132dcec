"""Objects in S3 that are somebody's data: named by version or ETag, and fetched as they were then, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from botocore.exceptions import ClientError

from launch_jobs.errors import BadInput, NotFound, Refused, StoreError
from launch_jobs.names import Digest, canonical_json, sha256
from launch_jobs.store.access import S3Access
from launch_jobs.store.s3_client import s3_client
from launch_jobs.store.s3_errors import code_of, failures

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MOST_OBJECTS = 1_000_000
_AT_ONCE, _BATCH = 16, 10_000
_GONE = {"NoSuchKey", "NoSuchVersion", "404", "PreconditionFailed", "412"}
_NO_VERSIONS = {"AccessDenied", "403", "NotImplemented", "501", "MethodNotAllowed", "405"}
"""The account may list objects only, or the server keeps no versions."""


class S3Object(NamedTuple):
    """One object, as it was when it was looked at.

    Attributes:
        key: its key.
        state: `version:…`, or where the bucket keeps none, `etag:…`.
        size: bytes.
    """

    key: str
    state: str
    size: int


def list_objects(name: str, url: str) -> list[S3Object]:
    """What a URL names now, sorted by key: one object, or with a last `/` all whose key begins so.

    Args:
        name: of the dataset, for messages.
        url: `s3://bucket/key`.

    Raises:
        BadInput: it names no object, or one has a key that is no path.
        NotFound: nothing is there.
        StoreError, Unavailable: S3 does not tell.
    """
    bucket, key = _parts(name, url)
    with failures(f"dataset {name!r}: {url} cannot be read"):
        client = s3_client(S3Access())
        found = sorted(_below(client, bucket, key)) if key.endswith("/") else [_one(client, bucket, key)]
    if not found:
        raise NotFound(f"dataset {name!r}: there is nothing at {url}", do="Mend the URL")
    if len(found) > MOST_OBJECTS:
        raise BadInput(f"dataset {name!r}: {url} has more than {MOST_OBJECTS:,} objects", do="Name a part of it")
    for one in found:
        _path_of(one.key, key)
    return found


def listing_bytes(objects: list[S3Object]) -> bytes:
    """The list of objects as it is kept; its SHA-256 is the dataset's digest."""
    return canonical_json([[one.key, one.state, one.size] for one in objects])


def fetch_objects(
    name: str, url: str, listing: Path, into: Path, is_cancelled: Callable[[], bool] = lambda: False
) -> Digest | None:
    """Fetch the objects of a list into a folder, exactly as they were when it was made.

    Returns:
        The digest of the list; None if it was cancelled meanwhile.

    Raises:
        Refused: an object is not there any more, or is another by now.
        StoreError, Unavailable: S3 does not give one.
    """
    bucket, key = _parts(name, url)
    data = listing.read_bytes()
    objects = [S3Object(*one) for one in cast("list[tuple[str, str, int]]", json.loads(data))]
    client = s3_client(S3Access())

    def fetch(one: S3Object) -> None:
        if not is_cancelled():
            _fetch(client, bucket, one, into / _path_of(one.key, key), name)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="launch-dataset") as pool:
        for start in range(0, len(objects), _BATCH):  # a future takes more memory than its object
            for _ in pool.map(fetch, objects[start : start + _BATCH]):
                pass
    return None if is_cancelled() else sha256(data)


def _parts(name: str, url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise BadInput(f"dataset {name!r}: {url!r} names no object", do="Write s3://bucket/key or s3://bucket/prefix/")
    return bucket, key


def _path_of(key: str, prefix: str) -> str:
    path = key[prefix.rfind("/") + 1 :]
    if {"", ".", ".."} & set(path.split("/")) or "\0" in path:
        raise BadInput(f"the object {key!r} cannot be a file: its key is no path", do="Name other objects")
    return path


def _one(client: S3Client, bucket: str, key: str) -> S3Object:
    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in _GONE:
            raise NotFound(f"there is no object s3://{bucket}/{key}", do="A prefix ends with /") from error
        raise
    return S3Object(key, _state(found.get("VersionId"), found["ETag"]), found["ContentLength"])


def _state(version: str | None, etag: str) -> str:
    return f"version:{version}" if version and version != "null" else f"etag:{etag}"


def _below(client: S3Client, bucket: str, prefix: str) -> list[S3Object]:
    """All objects below a prefix; folders' own empty objects are none."""
    try:
        return _files(_versions(client, bucket, prefix))
    except ClientError as error:
        if code_of(error) not in _NO_VERSIONS:
            raise
        return _files(_plain(client, bucket, prefix))


def _files(objects: Iterator[S3Object]) -> list[S3Object]:
    """No more than tell that there are too many: a bucket can hold billions."""
    return list(islice((one for one in objects if not one.key.endswith("/")), MOST_OBJECTS + 1))


def _versions(client: S3Client, bucket: str, prefix: str) -> Iterator[S3Object]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Versions", ()):
            if one.get("IsLatest"):
                etag, key = one.get("ETag", ""), one.get("Key", "")
                yield S3Object(key, _state(one.get("VersionId"), etag), one.get("Size", 0))


def _plain(client: S3Client, bucket: str, prefix: str) -> Iterator[S3Object]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            yield S3Object(one.get("Key", ""), _state(None, one.get("ETag", "")), one.get("Size", 0))


def _fetch(client: S3Client, bucket: str, one: S3Object, into: Path, name: str) -> None:
    kind, _, value = one.state.partition(":")
    what = f"dataset {name!r}: s3://{bucket}/{one.key}"
    with failures(f"{what} cannot be read"):
        try:
            if kind == "version":
                found = client.get_object(Bucket=bucket, Key=one.key, VersionId=value)
            else:
                found = client.get_object(Bucket=bucket, Key=one.key, IfMatch=value)
        except ClientError as error:
            if code_of(error) in _GONE:
                raise Refused(
                    f"{what} is not what the job was captured with ({one.state}); nothing was started",
                    do="Restore the object, or capture the job again",
                ) from error
            raise
        into.parent.mkdir(parents=True, exist_ok=True)
        with into.open("xb") as out:
            shutil.copyfileobj(found["Body"], out, 1 << 20)
    if into.stat().st_size != one.size:
        raise StoreError(f"{what} has {into.stat().st_size} bytes, not {one.size}", do="Try again")
    into.chmod(0o444)
