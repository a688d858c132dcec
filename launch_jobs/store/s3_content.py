"""The bytes of one S3 object in bounded pieces, and what is remembered of small ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from launch_jobs.errors import Unavailable
from launch_jobs.names import sha256
from launch_jobs.store.envelope import corrupt
from launch_jobs.store.s3_errors import failures, no_s3, status_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

_PIECE = 1 << 20
_TRIES = 5
"""How often in a row a connection may break without a byte."""

_SEEN_KEYS = 64
_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ReadTimeoutError)


class Content:
    """The bytes of one object, in pieces; where the connection breaks, it goes on from there."""

    def __init__(self, client: S3Client, bucket: str, name: str, key: str, what: str) -> None:
        self._client, self._bucket, self._name, self._key, self._what = client, bucket, name, key, what
        self.etag = ""

    def __iter__(self) -> Iterator[bytes]:
        done, size, tries = 0, -1, 0
        with failures(self._what):
            while done != size:
                answer = self._request(done)
                with closing(answer["Body"]) as body:
                    if "ETag" not in answer:
                        raise no_s3(self._what)
                    self.etag, size = answer["ETag"], done + answer["ContentLength"] if size < 0 else size
                    try:
                        for piece in body.iter_chunks(_PIECE):
                            done, tries = done + len(piece), 0
                            yield piece
                    except _BROKEN_OFF:
                        tries += 1
                        if tries == _TRIES:
                            raise
                    except FlexibleChecksumError as error:
                        raise corrupt(self._key, "its checksum in S3 does not match") from error

    def _request(self, start: int) -> GetObjectOutputTypeDef:
        options: dict[str, Any] = {"Range": f"bytes={start}-", "IfMatch": self.etag} if start else {}
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._name, **options)
        except ClientError as error:
            if status_of(error) in {412, 416}:
                raise Unavailable(f"{self._what} changed while it was read", do="Try again") from error
            raise


class Seen:
    """Which ETag the content had that we saw last, for a few small objects: spares a read before a compare-and-set."""

    def __init__(self) -> None:
        self._etags: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, key: str, data: bytes, etag: str) -> None:
        """What an object's content and ETag are now."""
        with self._lock:
            self._etags[key] = (sha256(data), etag)
            self._etags.move_to_end(key)
            if len(self._etags) > _SEEN_KEYS:
                self._etags.popitem(last=False)

    def etag(self, key: str, data: bytes) -> str | None:
        """The ETag, if the content was this when it was seen last."""
        with self._lock:
            digest, etag = self._etags.get(key, ("", None))
        return etag if digest == sha256(data) else None
