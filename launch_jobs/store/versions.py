"""Named, versioned jobs: numbers that are given once, aliases that move, records beside the versions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple

from launch_jobs.errors import BadInput, NotFound, StoreConflict, StoreError
from launch_jobs.job import CaptureRecord, Job, JobVersion, Origin
from launch_jobs.names import Digest, JobRef, is_version
from launch_jobs.store import Objects, keys
from launch_jobs.store.documents import LATEST, AliasDocument, Tombstone, VersionDocument, VersionSlot, blobs_of
from launch_jobs.store.envelope import corrupt, seal, unseal
from launch_jobs.store.pointers import get_or_none, point


class Numbers(NamedTuple):
    """The numbers of a job.

    Attributes:
        kept: of versions that are there, damaged ones too, oldest first.
        deleted: of versions that were.
    """

    kept: list[int]
    deleted: set[int]

    @property
    def next(self) -> int:
        """The first number that was never given."""
        return max(self.deleted.union(self.kept), default=-1) + 1


class JobVersions:
    """The jobs of a store. Nothing is mutated but aliases; see `JobStore`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def add(self, name: str, job: Job, origin: Origin) -> JobVersion:
        """Keep a job as the next version of `name`, or find the version that it is already; `latest` moves there.

        Raises:
            BadInput: the name is none, or the job has no JSON form.
            StoreError: a blob of its origin is not in the store.
        """
        while True:
            found, is_new = self._find_or_write(name, job, origin)
            self._objects.put_if_absent(keys.digest_mark(name, found.digest, found.version), b"")
            point(self._objects, keys.alias(name, LATEST), AliasDocument(version=found.version))
            # A version that was there may have been deleted before `latest` was moved to it.
            if is_new or isinstance(self.slot(name, found.version), VersionDocument):
                return found

    def resolve(self, ref: JobRef) -> JobVersion:
        """The version that a reference means now.

        Raises:
            NotFound: no such job, version, alias or digest; says which there are.
        """
        if is_version(ref.selector):
            try:
                return self._version(ref.name, int(ref.selector[1:]))
            except NotFound as error:
                raise self._unknown(ref) from error
        found = self._find(ref.name, ref.selector)[0] if ref.is_digest else self._aliased(ref.name, ref.selector)
        if found is None:
            raise self._unknown(ref)
        return found

    def names(self) -> list[str]:
        """The names of all jobs that have a version, sorted."""
        kept, deleted = set[tuple[str, int]](), set[tuple[str, int]]()
        for key in self._objects.keys("versions/"):
            name = PurePosixPath(key).parent.name
            if key.count("/") == 2 and (number := keys.number_of(key)) is not None:
                kept.add((name, number))
            elif key.count("/") == 2 and (number := keys.deleted_number(key)) is not None:
                deleted.add((name, number))
        return sorted({name for name, _ in kept - deleted})

    def numbers(self, name: str) -> list[int]:
        """The numbers of a job's versions, damaged ones too, oldest first; none for an unknown name."""
        return self.all_numbers(name).kept

    def all_numbers(self, name: str) -> Numbers:
        """The numbers of a job, with those of deleted versions."""
        found = list(self._objects.keys(keys.versions(name)))
        deleted = {number for key in found if (number := keys.deleted_number(key)) is not None}
        return Numbers([number for number in keys.numbers_of(found) if number not in deleted], deleted)

    def versions(self, name: str) -> list[JobVersion]:
        """All versions of a job, oldest first; none for an unknown name."""
        found: list[JobVersion] = []
        for number in self.numbers(name):
            with suppress(NotFound):  # deleted meanwhile
                found.append(self._version(name, number))
        return found

    def slot(self, name: str, number: int) -> VersionDocument | Tombstone:
        """What is under a version's number.

        Raises:
            NotFound: nothing ever was.
            StoreError: it is damaged.
        """
        key = keys.version(name, number)
        found = unseal(key, self._objects.get(key), VersionSlot).root
        match found:
            case VersionDocument(digest=digest, version=version):
                is_right = digest == version.digest and (version.name, version.version) == (name, number)
            case Tombstone():
                is_right = (found.name, found.number) == (name, number)
        if not is_right:
            raise corrupt(key, "its job is not the one it was written for")
        return found

    def aliases(self, name: str) -> dict[str, int]:
        """A job's aliases and the version each means."""
        found = {PurePosixPath(key).name: key for key in self._objects.keys(keys.aliases(name))}
        return {alias: unseal(key, self._objects.get(key), AliasDocument).version for alias, key in found.items()}

    def set_alias(self, name: str, alias: str, version: int, *, expected: int | None = None) -> None:
        """Let an alias mean a version, if it means `expected` now (None: whatever it means, or nothing).

        Raises:
            NotFound: there is no such version.
            BadInput: the alias looks like a version.
            StoreConflict: the alias means something else, or another writer moved it meanwhile.
        """
        if is_version(alias):
            raise BadInput(f"{alias!r} cannot be an alias: it reads as a version", do="Choose another word")
        self.resolve(JobRef(name, f"v{version}"))
        key = keys.alias(name, alias)
        current = get_or_none(self._objects, key)
        if expected is not None and (current is None or unseal(key, current, AliasDocument).version != expected):
            raise StoreConflict(f"alias {name}:{alias} does not mean v{expected} now", do="Read it again, then retry")
        if not self._objects.replace(key, seal(key, AliasDocument(version=version)), expected=current):
            raise StoreConflict(f"alias {name}:{alias} was moved meanwhile", do="Read it again, then retry")

    def add_record(self, version: JobVersion, record: CaptureRecord) -> None:
        """Keep a tracked run's record beside its version; a second one of the same run changes nothing."""
        key = keys.record(version.name, version.version, record.run)
        self._objects.put_if_absent(key, seal(key, record))

    def records(self, version: JobVersion) -> list[CaptureRecord]:
        """The records of a version, oldest first."""
        found = list(self._objects.keys(keys.records(version.name, version.version)))
        read = [unseal(key, self._objects.get(key), CaptureRecord) for key in found]
        return sorted(read, key=lambda record: (record.started, record.run))

    def _find_or_write(self, name: str, job: Job, origin: Origin) -> tuple[JobVersion, bool]:
        """The version of a job, and whether we made it.

        The number is the next after those that were searched: had another writer added this content meanwhile, then
        that number or a lower one is taken, and ours is not written.
        """
        while True:
            found, numbers = self._find(name, job.digest)
            if found is not None:
                return found, False
            key, created = keys.version(name, numbers.next), datetime.now(UTC).isoformat(timespec="milliseconds")
            version = JobVersion(name=name, version=numbers.next, job=job, origin=origin, created=created)
            document = seal(key, VersionDocument(digest=job.digest, version=version))
            self._keep_blobs(name, origin, job)
            if self._objects.put_if_absent(key, document):
                return version, True
            self.slot(name, numbers.next)  # the winner's; an unreadable one must end this loop

    def _keep_blobs(self, name: str, origin: Origin, job: Job) -> None:
        """Make the blobs of a version young before it refers to them, so that no sweep that runs takes them away."""
        for digest in blobs_of(origin, job):
            try:
                self._objects.touch(keys.blob(digest))
            except NotFound as error:
                raise StoreError(f"content {digest} of job {name!r} is not in the store", do="Capture again") from error

    def _version(self, name: str, number: int) -> JobVersion:
        match self.slot(name, number):
            case VersionDocument(version=version):
                return version
            case Tombstone(deleted=deleted):
                raise NotFound(f"{name}:v{number} was deleted at {deleted}")

    def _find(self, name: str, digest: Digest) -> tuple[JobVersion | None, Numbers]:
        """The version with a digest, and the numbers that were searched in vain.

        Marks spare reading the others, and a missing or wrong mark misleads nobody. A listing taken while others write
        can lack a number below its highest, so each is tried.
        """
        marks = set(filter(None, map(keys.read_digest_mark, self._objects.keys(keys.digests(name)))))
        marked = sorted(number for number, marked in marks if marked == digest)
        if found := self._first(name, digest, marked):
            return found, Numbers([], set())
        numbers = self.all_numbers(name)
        skipped = numbers.deleted.union(number for number, _ in marks)
        return self._first(name, digest, [n for n in range(numbers.next) if n not in skipped]), numbers

    def _first(self, name: str, digest: Digest, numbers: Iterable[int]) -> JobVersion | None:
        for number in numbers:
            with suppress(NotFound):
                version = self._version(name, number)
                if version.digest == digest:
                    return version
        return None

    def _aliased(self, name: str, alias: str) -> JobVersion | None:
        key = keys.alias(name, alias)
        pointer = get_or_none(self._objects, key)
        if pointer is None:
            return None
        number = unseal(key, pointer, AliasDocument).version
        try:
            return self._version(name, number)
        except NotFound as error:
            what = f"alias {name}:{alias} means v{number}, which is not in the store"
            raise StoreError(what, do="Set it again") from error

    def _unknown(self, ref: JobRef) -> NotFound:
        numbers, deleted = self.all_numbers(ref.name)
        if not numbers:
            names = self.names()
            near = difflib.get_close_matches(ref.name, names, n=3, cutoff=0.5) or names[:10]
            there = f"Jobs near it: {', '.join(near)}" if near else "The store has no job yet: capture one first"
            return NotFound(f"there is no job {ref.name!r}", do=there)
        aliases = sorted(self.aliases(ref.name))
        near = difflib.get_close_matches(ref.selector, aliases, n=3, cutoff=0.5) or aliases[:10]
        is_deleted = is_version(ref.selector) and int(ref.selector[1:]) in deleted
        return NotFound(
            f"job {ref.name!r} has no {ref.selector}" + (" any more: it was deleted" if is_deleted else ""),
            do=f"It has {_told(numbers)} and the aliases {', '.join(near)}",
        )


def _told(numbers: list[int]) -> str:
    is_dense = len(numbers) == numbers[-1] + 1
    return f"versions v0 to v{numbers[-1]}" if is_dense else f"versions {', '.join(f'v{n}' for n in numbers[-20:])}"
