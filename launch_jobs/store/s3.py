"""The S3 kind of the job store: one object a key, conditional writes for what must be written once. The door to boto3.

Works with any server that honours `If-None-Match` and `If-Match` on writes; one that ignores them is refused when the
store is made. The account needs GetObject, PutObject, DeleteObject, ListBucket and AbortMultipartUpload.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from launch_jobs.errors import NotFound, StoreError, Unavailable
from launch_jobs.names import Digest
from launch_jobs.store import Entry
from launch_jobs.store.access import S3Access
from launch_jobs.store.envelope import LARGEST_BYTES, corrupt
from launch_jobs.store.keys import check_key, is_key
from launch_jobs.store.s3_client import s3_client
from launch_jobs.store.s3_content import Content, Seen
from launch_jobs.store.s3_errors import code_of, failures, no_s3, status_of, was_repeated

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

__all__ = ["S3Access", "S3Objects"]

_TRIES = 5
_YOUNG = timedelta(hours=1)
"""What was written since is young enough: touching it again would be a copy for nothing."""

_ONE_PUT_BYTES = 16 << 20
"""Larger files are sent in parts."""

_TRANSFER = TransferConfig(multipart_threshold=_ONE_PUT_BYTES, multipart_chunksize=_ONE_PUT_BYTES, max_concurrency=4)


class S3Objects:
    """Objects in a bucket, under a prefix; safe for many machines, processes and threads at once."""

    def __init__(self, bucket: str, prefix: str = "", access: S3Access | None = None) -> None:
        self._bucket, self._root = bucket, f"{prefix}/" if prefix else ""
        self._client = s3_client(access or S3Access())
        self._seen = Seen()

    def get(self, key: str) -> bytes:
        """The whole object; refuses one larger than any document."""
        data, content = bytearray(), self._content(key)
        for piece in content:
            data += piece
            if len(data) > LARGEST_BYTES:
                raise corrupt(key, f"larger than {LARGEST_BYTES} bytes")
        read = bytes(data)
        self._seen.note(key, read, content.etag)
        return read

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write durably unless the key exists; whether we wrote."""
        return self._put(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Compare-and-set; whether we wrote."""
        if expected is None:
            return self.put_if_absent(key, data)
        check_key(key)
        etag = self._seen.etag(key, expected)
        if etag is None:
            try:
                self.get(key)
            except NotFound:
                return False
            etag = self._seen.etag(key, expected)
        return etag is not None and self._put(key, data, IfMatch=etag)

    def upload(self, key: str, path: Path) -> None:
        """Write a file's content durably, a large one in parts; an existing object is left as it is."""
        name = self._name(key)
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= _ONE_PUT_BYTES:
                self._put(key, file, IfNoneMatch="*")
            elif not self._head(key):
                # The transfer aborts its parts when it fails; what a killed process left, `unfinished` finds.
                with failures(self._what(key)):
                    self._client.upload_fileobj(file, self._bucket, name, Config=_TRANSFER)

    def download(self, key: str, path: Path) -> None:
        """Write the object into a new file; the caller checks the content, and sees `path`'s own `OSError`s."""
        pieces = iter(self._content(key))
        first = next(pieces, b"")
        with path.open("xb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix, sorted; strangers' names are not among them."""
        return (entry.key for entry in self.entries(prefix) if is_key(entry.key))

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """What lies under a prefix, or everything (strangers' objects too), sorted by key."""
        if prefix:
            check_key(prefix.removesuffix("/"))
        return self._listed(prefix)

    def digest(self, key: str) -> Digest:
        """The digest of an object's content, read in pieces."""
        content = hashlib.sha256()
        for piece in self._content(key):
            content.update(piece)
        return f"sha256:{content.hexdigest()}"

    def touch(self, key: str) -> None:
        """Make an object young, by a copy onto itself if it is not."""
        head = self._head(key)
        if not head:
            raise NotFound(f"{self._what(key)} does not exist")
        if head["LastModified"] < datetime.now(UTC) - _YOUNG:
            name = self._name(key)
            with failures(self._what(key)):
                self._client.copy(
                    {"Bucket": self._bucket, "Key": name},
                    self._bucket,
                    name,
                    ExtraArgs={"MetadataDirective": "REPLACE"},
                    Config=_TRANSFER,
                )

    def delete(self, key: str) -> None:
        """Remove; a missing key is no error."""
        name = self._name(key)
        with failures(self._what(key)):
            self._client.delete_object(Bucket=self._bucket, Key=name)

    def delete_older(self, key: str, before: datetime) -> bool:
        """Remove unless it was written or touched since `before`; whether it is gone.

        S3 cannot do both in one step: a touch in the milliseconds between the look and the removal is not seen.
        """
        head = self._head(key)
        if head and head["LastModified"] >= before:
            return False
        self.delete(key)
        return True

    def unfinished(self, before: datetime, *, remove: bool = False) -> list[str]:
        """Uploads in parts that were begun before a time and never ended; with `remove` they are aborted."""
        found: list[str] = []
        with failures(f"job store {self}"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._root
            )
            for upload in (upload for page in pages for upload in page.get("Uploads", [])):
                key, number = upload.get("Key", ""), upload.get("UploadId", "")
                if upload.get("Initiated", before) < before:
                    found.append(f"{key.removeprefix(self._root)} (upload {number})")
                    if remove:
                        self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=number)
        return found

    def prepare(self, marker: str, data: bytes) -> None:
        """Make an empty place in the bucket a store: mark it, and see that the server knows conditional writes.

        Raises:
            StoreError: there are other objects, or the server ignores the conditions.
        """
        try:
            self.get(marker)
        except NotFound:
            # The mark is looked for again: another process may have made the store between the two looks, mark first.
            if next(self._listed(""), None) and not self._head(marker):
                raise StoreError(f"{self} is no job store: it has other objects", do="Name a new prefix") from None
            self.put_if_absent(marker, data)
            self._require_conditions(marker, data)

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._root}".rstrip("/")

    def _require_conditions(self, marker: str, data: bytes) -> None:
        if self.put_if_absent(marker, data) or self._put(marker, data, IfMatch=f'"{"0" * 32}"'):
            self.delete(marker)
            raise StoreError(
                f"the server of {self} ignores conditional writes, without which two writers would lose work",
                do="Use AWS S3, or a server that knows If-None-Match and If-Match on PutObject",
            )

    def _put(self, key: str, body: bytes | BinaryIO, **condition: Any) -> bool:
        """Write under a condition; whether we wrote.

        Where the SDK repeated the request, a refusal can be the answer to our own first one, whose reply was lost:
        then what is there now tells.
        """
        name = self._name(key)
        with failures(self._what(key)):
            for attempt in range(_TRIES):
                try:
                    answer = self._client.put_object(Bucket=self._bucket, Key=name, Body=body, **condition)
                except ClientError as error:
                    if status_of(error) == 409:  # another change of this key was under way: S3 asks to try again
                        time.sleep(0.05 * 2**attempt)
                        continue
                    if status_of(error) != 412 and code_of(error) != "NoSuchKey":
                        raise
                    return was_repeated(error) and isinstance(body, bytes) and self._has(key, body)
                if "ETag" not in answer:
                    raise no_s3(self._what(key))
                if isinstance(body, bytes):
                    self._seen.note(key, body, answer["ETag"])
                return True
        raise Unavailable(f"{self._what(key)} is being changed by many at once", do="Try again")

    def _has(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key) == data
        except NotFound:
            return False

    def _head(self, key: str) -> HeadObjectOutputTypeDef | None:
        name = self._name(key)
        with failures(self._what(key)):
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=name)
            except ClientError as error:
                if status_of(error) == 404:  # a HEAD has no body that could tell a missing bucket from a missing key
                    return None
                raise
        if "LastModified" not in answer:
            raise no_s3(self._what(key))
        return answer

    def _listed(self, prefix: str) -> Iterator[Entry]:
        with failures(f"job store {self}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._root + prefix
            )
            for page in pages:
                if "IsTruncated" not in page:
                    raise no_s3(f"job store {self}")
                for entry in page.get("Contents", []):
                    key, modified = entry.get("Key", ""), entry.get("LastModified", datetime.now(UTC))
                    yield Entry(key.removeprefix(self._root), entry.get("Size", 0), modified)

    def _content(self, key: str) -> Content:
        return Content(self._client, self._bucket, self._name(key), key, self._what(key))

    def _name(self, key: str) -> str:
        check_key(key)
        return self._root + key

    def _what(self, key: str) -> str:
        return f"job store object {key} in {self}"
