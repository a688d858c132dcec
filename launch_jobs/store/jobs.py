"""The job store: named, versioned jobs and what their runs leave, over any kind of object keeper."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from launch_jobs.errors import BadInput, NotFound, StoreConflict, StoreError
from launch_jobs.job import CaptureRecord, Frozen, Job, JobVersion, Origin
from launch_jobs.names import Digest, JobRef, is_version, sha256
from launch_jobs.run import Outcome, OutputFile
from launch_jobs.store import Objects, keys
from launch_jobs.store.content import digest_file, fetch_file, put_file
from launch_jobs.store.envelope import corrupt, seal, unseal
from launch_jobs.store.folder import FolderObjects

LATEST = "latest"
"""The alias that follows the version captured last."""


class _Version(Frozen):
    digest: Digest
    version: JobVersion


class _Alias(Frozen):
    version: int = Field(ge=0)


class _Log(Frozen):
    digest: Digest


class _Marker(Frozen):
    kind: Literal["launch-jobs-store"] = "launch-jobs-store"


def open_store(url: str) -> JobStore:
    """The job store at a URL; a new folder becomes an empty store.

    Raises:
        BadInput: the URL names no kind of store that there is.
        StoreError: the folder is something else's, open to everyone, or cannot be read or written.
    """
    parts = urlsplit(url)
    root = unquote(parts.path)
    plain = parts.netloc in {"", "localhost"} and not parts.query and not parts.fragment
    if parts.scheme != "file" or not plain or not root.startswith("/") or "\0" in root:
        raise BadInput(f"{url!r} is no job store", do="Supported is file:///absolute/folder")
    objects = FolderObjects(Path(root))
    try:
        objects.prepare(keys.MARKER, seal(keys.MARKER, _Marker()))
        unseal(keys.MARKER, objects.get(keys.MARKER), _Marker)
    except NotFound as error:
        raise StoreError(f"the job store {root} cannot be made", do="Name another by LAUNCH_JOBS_STORE") from error
    return JobStore(objects)


class JobStore:
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

    def add(self, name: str, job: Job, origin: Origin) -> JobVersion:
        """Keep a job as the next version of `name`, or find the version that it is already; `latest` moves there.

        Raises:
            BadInput: the name is none, or the job has no JSON form.
        """
        # The number is the next after those that were searched: had another writer added this content meanwhile, then
        # that number or a lower one is taken, and ours is not written.
        while (found := self._find(name, job.digest, numbers := self.numbers(name))) is None:
            number = max(numbers, default=-1) + 1
            key, created = keys.version(name, number), datetime.now(UTC).isoformat(timespec="milliseconds")
            version = JobVersion(name=name, version=number, job=job, origin=origin, created=created)
            if not self._objects.put_if_absent(key, seal(key, _Version(digest=job.digest, version=version))):
                self._version(name, number)  # the winner's; an unreadable one must end this loop
        self._objects.put_if_absent(keys.digest_mark(name, found.digest, found.version), b"")
        self._point(keys.alias(name, LATEST), _Alias(version=found.version))
        return found

    def resolve(self, ref: JobRef) -> JobVersion:
        """The version that a reference means now.

        Raises:
            NotFound: no such job, version, alias or digest; says which there are.
        """
        if ref.is_digest:
            found = self._find(ref.name, ref.selector, self.numbers(ref.name))
        elif is_version(ref.selector):
            number = int(ref.selector[1:])
            found = self._version(ref.name, number) if number in self.numbers(ref.name) else None
        else:
            found = self._aliased(ref.name, ref.selector)
        if found is None:
            raise self._unknown(ref)
        return found

    def names(self) -> list[str]:
        """All job names, sorted."""
        found = (key for key in self._objects.keys("versions/") if keys.number_of(key) is not None)
        return sorted({key.split("/")[1] for key in found if key.count("/") == 2})

    def numbers(self, name: str) -> list[int]:
        """The numbers of a job's versions, damaged ones too, oldest first; none for an unknown name."""
        return _numbers(self._objects.keys(keys.versions(name)))

    def versions(self, name: str) -> list[JobVersion]:
        """All versions of a job, oldest first; none for an unknown name."""
        return [self._version(name, number) for number in self.numbers(name)]

    def aliases(self, name: str) -> dict[str, int]:
        """A job's aliases and the version each means."""
        found = {PurePosixPath(key).name: key for key in self._objects.keys(keys.aliases(name))}
        return {alias: unseal(key, self._objects.get(key), _Alias).version for alias, key in found.items()}

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
        current = self._get(key)
        if expected is not None and (current is None or unseal(key, current, _Alias).version != expected):
            raise StoreConflict(f"alias {name}:{alias} does not mean v{expected} now", do="Read it again, then retry")
        if not self._objects.replace(key, seal(key, _Alias(version=version)), expected=current):
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

    def put_outcome(self, outcome: Outcome) -> Outcome:
        """Write the end of an attempt once: the outcome that the store has, this one or an earlier writer's.

        Raises:
            BadInput: an output's path is not a plain relative one, or the outcome has no JSON form.
        """
        _check_outputs(outcome)
        key = keys.outcome(outcome.run, outcome.attempt)
        self._objects.put_if_absent(key, seal(key, outcome))
        return self._outcome(key)

    def outcome(self, run: str, attempt: int | None = None) -> Outcome | None:
        """The end of an attempt (None: of the latest that ended); None if there is none."""
        numbers = _numbers(self._objects.keys(keys.outcomes(run)))
        wanted = max(numbers, default=0) if attempt is None else attempt
        return self._outcome(keys.outcome(run, wanted)) if wanted in numbers else None

    def put_output(self, run: str, attempt: int, file: OutputFile, path: Path) -> None:
        """Keep one output's content.

        Raises:
            StoreError: the file at `path` is not what `file` says.
        """
        keys.check_output_path(file.path)
        put_file(self._objects, keys.file(run, attempt, file.digest), path, file.digest)

    def get_output(self, run: str, attempt: int, file: OutputFile, into: Path) -> None:
        """Write one output to the file `into`, which appears only when its SHA-256 is right."""
        keys.check_output_path(file.path)
        fetch_file(self._objects, keys.file(run, attempt, file.digest), file.digest, into)

    def put_log(self, run: str, attempt: int, path: Path) -> None:
        """Keep an attempt's whole output; a later call replaces it."""
        digest = digest_file(path)
        put_file(self._objects, keys.file(run, attempt, digest), path, digest)
        self._point(keys.log(run, attempt), _Log(digest=digest))

    def get_log(self, run: str, attempt: int, into: Path) -> bool:
        """Write an attempt's output to `into`; False if none was kept."""
        key = keys.log(run, attempt)
        pointer = self._get(key)
        if pointer is None:
            return False
        digest = unseal(key, pointer, _Log).digest
        fetch_file(self._objects, keys.file(run, attempt, digest), digest, into)
        return True

    def _version(self, name: str, number: int) -> JobVersion:
        key = keys.version(name, number)
        kept = unseal(key, self._objects.get(key), _Version)
        if kept.digest != kept.version.digest or (kept.version.name, kept.version.version) != (name, number):
            raise corrupt(key, "its job is not the one it was written for")
        return kept.version

    def _find(self, name: str, digest: Digest, numbers: list[int]) -> JobVersion | None:
        """The version with a digest among those up to the highest number.

        Marks spare reading the others, and a missing or wrong mark misleads nobody. A listing taken while others write
        can lack a number below its highest, so each is tried.
        """
        marks = dict(filter(None, map(keys.read_digest_mark, self._objects.keys(keys.digests(name)))))
        for number in range(max(numbers, default=-1) + 1):
            if marks.get(number, digest) == digest:
                with suppress(NotFound):
                    version = self._version(name, number)
                    if version.digest == digest:
                        return version
        return None

    def _aliased(self, name: str, alias: str) -> JobVersion | None:
        key = keys.alias(name, alias)
        pointer = self._get(key)
        if pointer is None:
            return None
        number = unseal(key, pointer, _Alias).version
        if number not in self.numbers(name):
            raise StoreError(f"alias {name}:{alias} means v{number}, which is not in the store", do="Set it again")
        return self._version(name, number)

    def _outcome(self, key: str) -> Outcome:
        outcome = unseal(key, self._objects.get(key), Outcome)
        try:
            _check_outputs(outcome)
        except BadInput as error:
            raise corrupt(key, error.what) from error
        return outcome

    def _get(self, key: str) -> bytes | None:
        try:
            return self._objects.get(key)
        except NotFound:
            return None

    def _point(self, key: str, model: _Alias | _Log) -> None:
        """Let the last writer win; a pointer is not read, so that a damaged one is mended by writing it."""
        data = seal(key, model)
        while (current := self._get(key)) != data and not self._objects.replace(key, data, expected=current):
            pass

    def _unknown(self, ref: JobRef) -> NotFound:
        numbers = self.numbers(ref.name)
        if not numbers:
            near = difflib.get_close_matches(ref.name, self.names(), n=3, cutoff=0.5) or self.names()[:10]
            there = f"Jobs near it: {', '.join(near)}" if near else "The store has no job yet: capture one first"
            return NotFound(f"there is no job {ref.name!r}", do=there)
        aliases = sorted(self.aliases(ref.name))
        near = difflib.get_close_matches(ref.selector, aliases, n=3, cutoff=0.5) or aliases[:10]
        return NotFound(
            f"job {ref.name!r} has no {ref.selector}",
            do=f"It has versions v0 to v{numbers[-1]} and the aliases {', '.join(near)}",
        )


def _numbers(found: Iterable[str]) -> list[int]:
    return sorted(number for key in found if (number := keys.number_of(key)) is not None)


def _check_outputs(outcome: Outcome) -> None:
    paths = [file.path for file in outcome.outputs.files]
    for path in paths:
        keys.check_output_path(path)
    if len(set(paths)) != len(paths):
        raise BadInput(f"outputs of run {outcome.run} name a path twice")
