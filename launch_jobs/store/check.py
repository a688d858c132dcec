"""Whether a store is whole: reads every object, and names each that is not what was written.

A store may be in use meanwhile: what another writer has not finished, or removes, is no finding. Content is read in
pieces; what is remembered is 16 bytes an object, to know whether what is referred to is there.

It finds any changed, cut, misplaced or lost object that another one refers to. What nothing refers to can be lost
unseen: an alias of the user's own, a capture record, an outcome (`launch check` asks the server for those), a log.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from launch_jobs.errors import BadInput, NotFound, StoreError
from launch_jobs.job import CaptureRecord
from launch_jobs.names import Digest
from launch_jobs.store import Entry, Objects, keys
from launch_jobs.store.attempts import read_outcome
from launch_jobs.store.documents import LATEST, AliasDocument, LogDocument, MarkerDocument, Tombstone, blobs_of
from launch_jobs.store.envelope import corrupt, unseal
from launch_jobs.store.versions import JobVersions

_AT_ONCE = 8
_BATCH = 64
_PUBLISHING = timedelta(minutes=1)
"""A younger version may still get its mark and its alias."""

_ABANDONED = timedelta(days=1)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a store.

    Attributes:
        key: the object.
        what: what is wrong with it.
        do: what to do.
        kind: `damage` (something cannot be had any more) or `stray` (nothing is lost, but it should not be so).
    """

    key: str
    what: str
    do: str
    kind: Literal["damage", "stray"] = "damage"


def check_store(
    objects: Objects, say: Callable[[str], None] = lambda _: None, *, now: datetime | None = None
) -> Iterator[Finding]:
    """Read every object of a store; each finding names one.

    Args:
        objects: what the store keeps.
        say: told now and then how far it is.
        now: the moment that counts; None: this one.

    Raises:
        Unavailable: the storage does not answer.
    """
    check = _Check(objects, now or datetime.now(UTC))
    done, size, told = 0, 0, set[str]()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="launch-check") as pool:
        entries = objects.entries()
        while batch := list(itertools.islice(entries, _BATCH)):
            for finding in itertools.chain.from_iterable(pool.map(check.judge, batch)):
                if finding.key not in told:
                    told.add(finding.key)
                    yield finding
            done, size = done + len(batch), size + sum(entry.size for entry in batch)
            say(f"{done} objects, {size / 1e6:.1f} MB read")
    yield from check.whole()


_NAME, _NUMBER, _FANNED = r"([^/]+)", r"(0|[1-9][0-9]{0,8})", r"([0-9a-f]{2})/([0-9a-f]{64})"
_Judge = Callable[..., Iterator[Finding]]


class _Check:
    """What one object should be, asked of any of them, from several threads."""

    def __init__(self, objects: Objects, now: datetime) -> None:
        self._objects, self._now = objects, now
        self._versions = JobVersions(objects)
        self._known = {_short(entry.key) for entry in objects.entries()}

    def whole(self) -> Iterator[Finding]:
        """What is said of the store, not of an object in it."""
        if not self._is_there(keys.MARKER):
            yield Finding(keys.MARKER, "it is missing: nothing says that this is a job store", "Open the store once")
        for name in self._objects.unfinished(self._now - _ABANDONED):
            yield Finding(name, "a writer was killed and left it half-written", "launch prune removes it", "stray")

    def judge(self, entry: Entry) -> list[Finding]:
        """What is wrong with an object, or with what it refers to."""
        found: list[Finding] = []
        try:
            for finding in self._judge(entry):
                found.append(finding)  # what was found before an error counts
        except BadInput:  # also what was deleted meanwhile
            if not keys.is_key(entry.key) or self._is_there(entry.key):
                found.append(_stranger(entry.key))
        except StoreError as error:
            what = error.what.removeprefix(f"job store object {entry.key} is damaged: ")
            found.append(Finding(entry.key, what, error.do))
        return found

    def _judge(self, entry: Entry) -> Iterator[Finding]:
        for pattern, judge in self._kinds if keys.is_key(entry.key) else ():
            if found := re.fullmatch(pattern, entry.key):
                yield from judge(self, entry, *found.groups())
                return
        yield _stranger(entry.key)

    def _marker(self, entry: Entry) -> Iterator[Finding]:
        unseal(entry.key, self._objects.get(entry.key), MarkerDocument)
        yield from ()

    def _content(self, entry: Entry, fan: str, digits: str) -> Iterator[Finding]:
        if fan != digits[:2]:
            yield _stranger(entry.key)
        elif self._objects.digest(entry.key) != f"sha256:{digits}":
            raise corrupt(entry.key, f"its content is not sha256:{digits}")

    def _version(self, entry: Entry, name: str, number: str) -> Iterator[Finding]:
        yield from self._lower(name, int(number))
        slot = self._versions.slot(name, int(number))
        if isinstance(slot, Tombstone):
            return
        for digest in blobs_of(slot.version.origin, slot.version.job):
            yield from self._need(keys.blob(digest), f"{slot.version.label} cannot be had without it")
        if entry.modified < self._now - _PUBLISHING:
            mark = keys.digest_mark(name, slot.digest, int(number))
            for missing in (
                *self._need(keys.alias(name, LATEST), f"nothing says which version of {name} is the latest"),
                *self._need(mark, "finding the version by its digest is slower without"),
            ):
                yield Finding(missing.key, missing.what, "Capture the same content again", "stray")

    def _lower(self, name: str, number: int) -> Iterator[Finding]:
        """Versions have no gaps: a deleted one leaves a tombstone."""
        for lower in range(number - 1, -1, -1):
            missing = list(self._need(keys.version(name, lower), f"{name} has a v{number}, but no v{lower}"))
            if not missing:
                return
            yield from missing

    def _deleted(self, entry: Entry, name: str, number: str) -> Iterator[Finding]:
        if entry.size:
            raise corrupt(entry.key, "a mark is empty, and this is not")
        key = keys.version(name, int(number))
        yield from self._need(key, f"{name}:v{number} was deleted, but its tombstone is not there")
        try:
            if not isinstance(self._versions.slot(name, int(number)), Tombstone):
                yield Finding(entry.key, f"it hides {name}:v{number}, which was not deleted", "Delete this object")
        except (NotFound, StoreError):
            return  # told of the version itself

    def _digest(self, entry: Entry, name: str, digits: str, number: str) -> Iterator[Finding]:
        if entry.size:
            raise corrupt(entry.key, "a mark is empty, and this is not")
        yield from self._need(keys.version(name, int(number)), f"{name}:v{number} has a digest mark")
        try:
            slot = self._versions.slot(name, int(number))
        except (NotFound, StoreError):
            return  # told of the version itself
        if not isinstance(slot, Tombstone) and slot.digest != f"sha256:{digits}":
            yield Finding(entry.key, f"{name}:v{number} has another digest", "Delete this object", "stray")

    def _alias(self, entry: Entry, name: str, alias: str) -> Iterator[Finding]:
        number = unseal(entry.key, self._objects.get(entry.key), AliasDocument).version
        try:
            is_kept = not isinstance(self._versions.slot(name, number), Tombstone)
        except NotFound:
            is_kept = False
        except StoreError:
            return  # told of the version itself
        if not is_kept and unseal(entry.key, self._objects.get(entry.key), AliasDocument).version == number:
            what = f"{name}:{alias} means v{number}, which is not in the store"
            yield Finding(entry.key, what, "Let it mean another version, or delete it")

    def _record(self, entry: Entry, name: str, number: str, _run: str) -> Iterator[Finding]:
        unseal(entry.key, self._objects.get(entry.key), CaptureRecord)
        yield from self._need(keys.version(name, int(number)), f"{name}:v{number} has a capture record")

    def _outcome(self, entry: Entry, run: str, attempt: str) -> Iterator[Finding]:
        outcome = read_outcome(entry.key, self._objects.get(entry.key))
        missing: list[Finding] = []
        for file in outcome.outputs.files:
            why = f"output {file.path!r} of attempt {attempt} of run {run} is lost"
            missing += self._need_file(entry.key, run, attempt, file.digest, why)
        if missing and not self._is_there(keys.dropped(run, int(attempt))):  # else pruned
            yield from missing

    def _log(self, entry: Entry, run: str, attempt: str) -> Iterator[Finding]:
        digest = unseal(entry.key, self._objects.get(entry.key), LogDocument).digest
        why = f"the log of attempt {attempt} of run {run} is lost"
        yield from self._need_file(entry.key, run, attempt, digest, why)

    def _dropped(self, entry: Entry, _run: str, _attempt: str) -> Iterator[Finding]:
        if entry.size:
            raise corrupt(entry.key, "a mark is empty, and this is not")
        yield from ()

    def _need_file(self, pointer: str, run: str, attempt: str, digest: Digest, why: str) -> Iterator[Finding]:
        for missing in self._need(keys.file(run, int(attempt), digest), why):
            if self._is_there(pointer):  # else the run was deleted meanwhile
                yield missing

    def _need(self, key: str, why: str) -> Iterator[Finding]:
        if _short(key) not in self._known and not self._is_there(key):
            yield Finding(key, f"it is missing: {why}", "Put it back from a backup; or capture or run again")

    def _is_there(self, key: str) -> bool:
        """Ask again: the listing is older than what another writer did meanwhile."""
        try:
            self._objects.digest(key)
        except NotFound:
            return False
        except StoreError:
            return True
        return True

    _kinds: ClassVar[list[tuple[str, _Judge]]] = [
        (re.escape(keys.MARKER), _marker),
        (f"blobs/{_FANNED}", _content),
        (f"files/[^/]+/[1-9][0-9]{{0,8}}/{_FANNED}", _content),
        (f"versions/{_NAME}/v{_NUMBER}", _version),
        (rf"versions/{_NAME}/v{_NUMBER}\.deleted", _deleted),
        (rf"digests/{_NAME}/([0-9a-f]{{64}})\.v{_NUMBER}", _digest),
        (f"aliases/{_NAME}/{_NAME}", _alias),
        (f"records/{_NAME}/v{_NUMBER}/{_NAME}", _record),
        (f"outcomes/{_NAME}/{_NUMBER}", _outcome),
        (f"logs/{_NAME}/{_NUMBER}", _log),
        (f"dropped/{_NAME}/{_NUMBER}", _dropped),
    ]
    """Which objects there are; whatever is none of these is a stranger's."""


def _stranger(key: str) -> Finding:
    return Finding(key, "it is nothing of Launch Jobs", "Remove it, if nobody needs it", "stray")


def _short(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()
