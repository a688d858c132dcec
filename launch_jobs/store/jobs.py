"""The job store: named, versioned jobs and what their runs leave, over any kind of object keeper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from launch_jobs.names import Digest, sha256
from launch_jobs.store import Entry, Objects, deletion, keys
from launch_jobs.store.access import S3Access
from launch_jobs.store.attempts import AttemptResults
from launch_jobs.store.check import Finding, check_store
from launch_jobs.store.content import digest_file, fetch_file, put_file
from launch_jobs.store.documents import LATEST
from launch_jobs.store.opening import open_objects
from launch_jobs.store.versions import JobVersions

__all__ = ["LATEST", "Finding", "JobStore", "S3Access", "open_store"]


def open_store(url: str, access: S3Access | None = None) -> JobStore:
    """The job store at a URL (`file:///folder`, `s3://bucket/prefix`); an empty place becomes an empty store.

    Args:
        url: where it is.
        access: of an S3 store; None: as boto3 finds endpoint, region and credentials.

    Raises:
        BadInput: the URL names no kind of store that there is, or no bucket.
        StoreError: what is there is something else's, open to everyone, or cannot be read or written.
        Unavailable: it does not answer.
    """
    return JobStore(open_objects(url, access))


class JobStore(JobVersions, AttemptResults):
    """Keeps jobs, blobs, capture records, outcomes, outputs and logs. Nothing is mutated but aliases.

    Every call blocks; every call raises `StoreError` for an object that is not what was written, or that cannot be
    written, and `Unavailable` when the storage does not answer.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put_blob(self, path: Path) -> Digest:
        """Keep a file's content; the same content is kept once."""
        digest = digest_file(path)
        put_file(self._objects, keys.blob(digest), path, digest)
        return digest

    def put_bytes(self, data: bytes) -> Digest:
        """Keep some bytes as a blob."""
        digest = sha256(data)
        self._objects.put_if_absent(keys.blob(digest), data)
        return digest

    def get_blob(self, digest: Digest, into: Path) -> None:
        """Write a blob to `into`, which appears only when its SHA-256 is right."""
        fetch_file(self._objects, keys.blob(digest), digest, into)

    def delete_version(self, name: str, number: int, *, drop_aliases: bool = False) -> None:
        """Remove a version and its records; its number is never given again, and `latest` moves to the highest left.

        Its blobs stay until `sweep_blobs`. Deleting again ends what a killed deletion began.

        Args:
            name: the job's.
            number: the version's.
            drop_aliases: remove the aliases that mean it, too.

        Raises:
            NotFound: there is no such version.
            Refused: an alias other than `latest` means it.
        """
        deletion.delete_version(self, self._objects, name, number, drop_aliases=drop_aliases)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; one that is not there is no error."""
        self._objects.delete(keys.alias(name, alias))

    def delete_job(self, name: str) -> None:
        """Remove all versions of a job with their records and aliases; their numbers are never given again.

        Raises:
            NotFound: there is no such job.
        """
        deletion.delete_job(self, self._objects, name)

    def unreferenced(self, older_than: timedelta) -> Iterator[Entry]:
        """The blobs that no version refers to and that nobody wrote or used for that long.

        Raises:
            StoreError: a version cannot be read, so that nobody knows what it refers to.
        """
        return deletion.unreferenced(self, self._objects, older_than)

    def sweep_blobs(self, older_than: timedelta) -> list[Entry]:
        """Remove the `unreferenced` blobs and what killed writers left half-written; the blobs that are gone.

        The age must be longer than any capture takes: what is being captured is referred to only in the end.
        """
        return deletion.sweep_blobs(self, self._objects, older_than)

    def check(self, say: Callable[[str], None] = lambda _: None) -> Iterator[Finding]:
        """Read every object, and name each that is not what was written; see `check_store`."""
        return check_store(self._objects, say)
