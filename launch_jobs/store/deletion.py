"""Taking things out of the store, in an order in which a kill at any point leaves nothing that points to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from launch_jobs.errors import NotFound, Refused
from launch_jobs.names import Digest, JobRef
from launch_jobs.store import Entry, Objects, keys
from launch_jobs.store.documents import LATEST, AliasDocument, Tombstone, VersionDocument, blobs_of
from launch_jobs.store.envelope import seal, unseal
from launch_jobs.store.pointers import get_or_none, point
from launch_jobs.store.versions import JobVersions

_ABANDONED = timedelta(days=1)
"""No upload takes longer: what was begun before has lost its writer."""


def delete_version(versions: JobVersions, objects: Objects, name: str, number: int, *, drop_aliases: bool) -> None:
    """See `JobStore.delete_version`."""
    if number not in versions.numbers(name):
        versions.resolve(JobRef(name, f"v{number}"))  # says what there is
    meaning = sorted(alias for alias, meant in versions.aliases(name).items() if meant == number and alias != LATEST)
    if meaning and not drop_aliases:
        raise Refused(
            f"{name}:v{number} is what {', '.join(f'{name}:{alias}' for alias in meaning)} means",
            do="Let the alias mean another version first, or delete it too",
        )
    for alias in meaning:
        objects.delete(keys.alias(name, alias))
    _move_latest(versions, objects, name, number)
    _bury(objects, name, number)
    _move_latest(versions, objects, name, number)  # whoever added the same content meanwhile


def delete_job(versions: JobVersions, objects: Objects, name: str) -> None:
    """See `JobStore.delete_job`."""
    numbers = versions.numbers(name)
    if not numbers:
        versions.resolve(JobRef(name))  # says what there is
    for alias in versions.aliases(name):
        if alias != LATEST:
            objects.delete(keys.alias(name, alias))
    for number in numbers:
        _move_latest(versions, objects, name, number)
        _bury(objects, name, number)
        _move_latest(versions, objects, name, number)  # whoever added the same content meanwhile


def unreferenced(versions: JobVersions, objects: Objects, older_than: timedelta) -> Iterator[Entry]:
    """See `JobStore.unreferenced`."""
    before = datetime.now(UTC) - older_than
    # The listing comes first: what is written after it is not in it, what was referred to before is seen after it.
    old = [entry for entry in objects.entries("blobs/") if entry.modified < before and keys.is_blob(entry.key)]
    needed = {keys.blob(digest) for digest in _needed(versions)} if old else set[str]()
    yield from (entry for entry in old if entry.key not in needed)


def sweep_blobs(versions: JobVersions, objects: Objects, older_than: timedelta) -> list[Entry]:
    """See `JobStore.sweep_blobs`."""
    before = datetime.now(UTC) - older_than
    objects.unfinished(min(before, datetime.now(UTC) - _ABANDONED), remove=True)
    return [entry for entry in unreferenced(versions, objects, older_than) if objects.delete_older(entry.key, before)]


def _needed(versions: JobVersions) -> Iterator[Digest]:
    for name in versions.names():
        for version in versions.versions(name):
            yield from blobs_of(version.origin, version.job)


def _move_latest(versions: JobVersions, objects: Objects, name: str, number: int) -> None:
    """Let `latest` mean the highest version left, if it means this one."""
    key = keys.alias(name, LATEST)
    while (current := get_or_none(objects, key)) and unseal(key, current, AliasDocument).version == number:
        left = [other for other in versions.numbers(name) if other != number]
        highest = next((other for other in reversed(left) if _is_kept(versions, name, other)), None)
        if highest is None:
            objects.delete(key)
        else:
            objects.replace(key, seal(key, AliasDocument(version=highest)), expected=current)


def _is_kept(versions: JobVersions, name: str, number: int) -> bool:
    try:
        return isinstance(versions.slot(name, number), VersionDocument)
    except NotFound:
        return False


def _bury(objects: Objects, name: str, number: int) -> None:
    """Put a tombstone in a version's place, then remove what belonged to it."""
    deleted = datetime.now(UTC).isoformat(timespec="seconds")
    point(objects, keys.version(name, number), Tombstone(name=name, number=number, deleted=deleted))
    objects.put_if_absent(keys.deleted_mark(name, number), b"")
    for key in list(objects.keys(keys.digests(name))):
        if (mark := keys.read_digest_mark(key)) and mark[0] == number:
            objects.delete(key)
    for key in list(objects.keys(keys.records(name, number))):
        objects.delete(key)
