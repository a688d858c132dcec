"""Taking things out of the store: numbers are never given again, and nothing ever points to what is gone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_samples import RUN, fill, make_job, make_outcome, make_record

from launch_jobs.errors import NotFound, Refused, StoreError
from launch_jobs.job import Origin
from launch_jobs.names import JobRef, sha256
from launch_jobs.run import OutputFile
from launch_jobs.store import Objects, keys
from launch_jobs.store.check import check_store
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.testing import MemoryObjects

AT_ONCE = timedelta(seconds=-60)
"""Even what was written now is older than this."""

LATER = timedelta(hours=1)


@pytest.fixture
def store(objects: Objects) -> JobStore:
    """An empty store of each kind, marked as one."""
    objects.put_if_absent(keys.MARKER, open_marker())
    return JobStore(objects)


def open_marker() -> bytes:
    """The mark of a store."""
    from launch_jobs.store.documents import MarkerDocument
    from launch_jobs.store.envelope import seal

    return seal(keys.MARKER, MarkerDocument())


def add(store: JobStore, *words: str) -> list[int]:
    """Add jobs named `digits`; their numbers."""
    return [store.add("digits", make_job(word), Origin()).version for word in words]


def damage(objects: Objects) -> list[str]:
    """What a check says some time after."""
    return [finding.key for finding in check_store(objects, now=datetime.now(UTC) + LATER) if finding.kind == "damage"]


def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(store: JobStore) -> None:
    """Neither the highest number nor any other comes back."""
    add(store, "one", "two", "three")
    store.delete_version("digits", 2)
    store.delete_version("digits", 0)
    assert add(store, "four") == [3]
    assert store.numbers("digits") == [1, 3]
    assert [version.version for version in store.versions("digits")] == [1, 3]


@pytest.mark.parametrize("selector", [":v1", "@" + make_job("two").digest])
def test_a_deleted_version_is_not_found(store: JobStore, selector: str) -> None:
    """Asking for it says what there is."""
    add(store, "one", "two", "three")
    store.delete_version("digits", 1)
    with pytest.raises(NotFound, match="has versions v0, v2 and the aliases latest"):
        store.resolve(JobRef.parse("digits" + selector))


def test_deleted_content_added_again_is_a_new_version(store: JobStore) -> None:
    """The same content is the same version only while that version is there."""
    add(store, "one", "two")
    store.delete_version("digits", 0)
    assert add(store, "one", "one", "two") == [2, 2, 1]


def test_latest_moves_to_the_highest_left(store: JobStore) -> None:
    """`latest` never means what is gone; without any version there is none."""
    add(store, "one", "two", "three")
    store.delete_version("digits", 2)
    assert store.aliases("digits") == {"latest": 1}
    store.delete_version("digits", 0)
    assert store.aliases("digits") == {"latest": 1}
    store.delete_version("digits", 1)
    assert store.aliases("digits") == {}
    assert store.names() == []


def test_an_alias_protects_its_version(store: JobStore) -> None:
    """A version that an alias means is deleted only with it."""
    add(store, "one", "two")
    store.set_alias("digits", "best", 0)
    with pytest.raises(Refused, match="digits:best"):
        store.delete_version("digits", 0)
    assert store.numbers("digits") == [0, 1]
    store.delete_version("digits", 0, drop_aliases=True)
    assert (store.numbers("digits"), store.aliases("digits")) == ([1], {"latest": 1})


def test_records_go_with_their_version(store: JobStore, objects: Objects) -> None:
    """The records of a deleted version are gone, those of another stay."""
    versions = [store.add("digits", make_job(word), Origin()) for word in ("one", "two")]
    for version in versions:
        store.add_record(version, make_record("run-1"))
    store.delete_version("digits", 0)
    assert list(objects.keys("records/")) == ["records/digits/v1/run-1"]


@pytest.mark.parametrize("number", [1, 7])
def test_deleting_what_is_not_there(store: JobStore, number: int) -> None:
    """An unknown or already deleted version is not found."""
    add(store, "one", "two")
    store.delete_version("digits", 1)
    with pytest.raises(NotFound, match=f"no v{number}"):
        store.delete_version("digits", number)
    with pytest.raises(NotFound, match="no job 'other'"):
        store.delete_job("other")


def test_a_damaged_version_can_be_deleted(store: JobStore, objects: Objects) -> None:
    """What cannot be read can be got rid of."""
    add(store, "one", "two")
    key = keys.version("digits", 0)
    assert objects.replace(key, b"garbage", expected=objects.get(key))
    store.delete_version("digits", 0)
    assert [version.version for version in store.versions("digits")] == [1]
    assert damage(objects) == []


def test_a_deleted_job_is_unknown_and_counts_on(store: JobStore, objects: Objects) -> None:
    """A job is deleted with all its versions and aliases; the next one of its name goes on counting."""
    add(store, "one", "two")
    store.set_alias("digits", "best", 0)
    store.add("other", make_job(), Origin())
    store.delete_job("digits")
    assert (store.names(), store.numbers("digits"), store.aliases("digits")) == (["other"], [], {})
    with pytest.raises(NotFound, match="no job 'digits'"):
        store.resolve(JobRef("digits"))
    assert damage(objects) == []
    assert add(store, "one") == [2]


class Deleting(MemoryObjects):
    """A storage in which something is deleted just before an alias is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.deletion: Callable[[], object] | None = None

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write; delete before a digest mark."""
        if key.startswith("digests/") and (deletion := self.deletion):
            self.deletion = None
            deletion()
        return super().put_if_absent(key, data)


def test_content_that_is_deleted_while_it_is_added_again() -> None:
    """Whoever adds it gets a version that is there, and `latest` means that one."""
    objects = Deleting()
    store = JobStore(objects)
    add(store, "one")
    objects.deletion = lambda: store.delete_version("digits", 0)
    assert add(store, "one") == [1]
    assert (store.numbers("digits"), store.aliases("digits")) == ([1], {"latest": 1})


class Killed(BaseException):
    """The process ended here."""


class Dying(MemoryObjects):
    """A storage whose user is killed before its n-th change."""

    left: int | None = None

    def _step(self) -> None:
        if self.left is not None:
            if not self.left:
                raise Killed
            self.left -= 1

    def replace(self, key: str, data: bytes, *, expected: bytes | None) -> bool:
        """Write, or die before it."""
        self._step()
        return super().replace(key, data, expected=expected)

    def delete(self, key: str) -> None:
        """Remove, or die before it."""
        self._step()
        super().delete(key)


DELETIONS: dict[str, Callable[[JobStore], object]] = {
    "version": lambda store: store.delete_version("digits", 1, drop_aliases=True),
    "job": lambda store: store.delete_job("digits"),
    "run": lambda store: store.delete_run(RUN),
}


def killed_at(what: str, step: int, folder: Path) -> bool:
    """Delete, be killed before a step, look, and delete again; whether there was such a step."""
    objects = Dying()
    objects.put_if_absent(keys.MARKER, open_marker())
    store = JobStore(objects)
    fill(store, folder)
    store.set_alias("digits", "best", 1)
    objects.left = step
    try:
        DELETIONS[what](store)
    except Killed:
        objects.left = None
        assert damage(objects) == []
        again(store, what)
        assert damage(objects) == []
        return True
    return False


@pytest.mark.parametrize("what", DELETIONS)
def test_a_deletion_killed_anywhere_leaves_nothing_damaged(what: str, tmp_path: Path) -> None:
    """Killed before any single change, a deletion leaves a store that a check finds whole; done again, it ends."""
    steps = list(itertools.takewhile(lambda step: killed_at(what, step, tmp_path), itertools.count()))
    assert len(steps) >= 3


def again(store: JobStore, what: str) -> None:
    """Delete once more, if it is not done."""
    try:
        DELETIONS[what](store)
    except NotFound:
        assert what != "run"


def keep_run(store: JobStore, run: str, attempt: int, path: Path) -> None:
    """Keep an outcome with an output, and a log."""
    path.write_text(f"{run} {attempt}")
    output = OutputFile(path="out", size=1, digest=sha256(path.read_bytes()))
    store.put_output(run, attempt, output, path)
    store.put_log(run, attempt, path)
    store.put_outcome(make_outcome(attempt, outputs=(output,)).model_copy(update={"run": run}))


def test_runs_are_listed_with_their_attempts(store: JobStore, tmp_path: Path) -> None:
    """Whatever left anything is listed once, in order; also what has no outcome yet."""
    for run, attempt in (("run-b", 1), ("run-a", 10), ("run-a", 2)):
        keep_run(store, run, attempt, tmp_path / "file")
    store.put_log("run-c", 1, tmp_path / "file")
    assert list(store.runs()) == [("run-a", 2), ("run-a", 10), ("run-b", 1), ("run-c", 1)]


def test_a_deleted_run_leaves_nothing(store: JobStore, objects: Objects, tmp_path: Path) -> None:
    """All attempts of a run go, and no other run's; deleting again is no error."""
    for run, attempt in (("run-a", 1), ("run-a", 2), ("run-ab", 1)):
        keep_run(store, run, attempt, tmp_path / "file")
    store.delete_run("run-a")
    store.delete_run("run-a")
    assert list(store.runs()) == [("run-ab", 1)]
    assert store.outcome("run-a") is None
    assert damage(objects) == []


def blobs(objects: Objects) -> list[str]:
    """The digits of all blobs."""
    return [key.rpartition("/")[2] for key in objects.keys("blobs/")]


def test_a_sweep_takes_what_no_version_needs(store: JobStore, objects: Objects) -> None:
    """Blobs of deleted versions and of captures that never ended go; what a version refers to stays."""
    kept, shared, gone, never = (store.put_bytes(word.encode()) for word in ("kept", "shared", "gone", "never"))
    store.add("digits", make_job("one"), Origin(bundle=kept, patch=shared))
    store.add("digits", make_job("two"), Origin(archive=gone, patch=shared))
    store.delete_version("digits", 1)
    assert sorted(entry.key for entry in store.unreferenced(AT_ONCE)) == sorted(map(keys.blob, (gone, never)))
    assert len(store.sweep_blobs(AT_ONCE)) == 2
    assert blobs(objects) == sorted(digest.removeprefix("sha256:") for digest in (kept, shared))
    assert damage(objects) == []


def test_a_sweep_leaves_what_is_young(store: JobStore, objects: Objects) -> None:
    """What is being captured now has no version yet."""
    store.put_bytes(b"new")
    assert store.sweep_blobs(timedelta(hours=1)) == []
    assert len(blobs(objects)) == 1


def test_a_sweep_takes_nothing_while_a_version_cannot_be_read(store: JobStore, objects: Objects) -> None:
    """Nobody knows what a damaged version needs."""
    store.add("digits", make_job(), Origin(archive=store.put_bytes(b"needed")))
    store.put_bytes(b"not needed")
    key = keys.version("digits", 0)
    assert objects.replace(key, b"garbage", expected=objects.get(key))
    with pytest.raises(StoreError, match="versions/digits/v0"):
        store.sweep_blobs(AT_ONCE)
    assert len(blobs(objects)) == 2


def test_a_version_never_refers_to_a_blob_that_is_gone(store: JobStore) -> None:
    """Content that was swept away between its upload and its version is told, and nothing is published."""
    digest = store.put_bytes(b"content")
    store.sweep_blobs(AT_ONCE)
    with pytest.raises(StoreError, match="Capture again"):
        store.add("digits", make_job(), Origin(archive=digest))
    assert store.names() == []


class Meanwhile(MemoryObjects):
    """A storage in which something happens between a sweep's look and its removal."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], object] = lambda: None

    def delete_older(self, key: str, before: datetime) -> bool:
        """Let it happen, then remove what is old."""
        self.happens()
        return super().delete_older(key, before)

    def age(self) -> None:
        """Make all that is there old."""
        for key in self._modified:
            self._modified[key] = datetime.now(UTC) - timedelta(days=7)


def test_old_content_that_is_captured_again_during_a_sweep_stays() -> None:
    """A capture that finds its content in the store already makes it young before it refers to it."""
    objects = Meanwhile()
    store = JobStore(objects)
    digest = store.put_bytes(b"content")
    objects.age()
    objects.happens = lambda: store.add("digits", make_job(), Origin(archive=digest))
    assert store.sweep_blobs(timedelta(days=1)) == []
    assert len(blobs(objects)) == 1


def test_publishing_and_sweeping_at_once(tmp_path: Path) -> None:
    """However captures of old content race with a sweep, each is told that it is gone, or keeps it."""
    store = open_store((tmp_path / "store").as_uri())
    for round_ in range(60):
        digest = store.put_bytes(b"%d" % round_)
        os.utime(tmp_path / "store" / keys.blob(digest), (0, 0))
        with ThreadPoolExecutor(2) as pool:
            swept = pool.submit(store.sweep_blobs, timedelta(minutes=1))
            added = pool.submit(store.add, f"job-{round_}", make_job(), Origin(archive=digest))
        is_gone = bool(swept.result())
        assert isinstance(added.exception(), StoreError) is is_gone
        assert bool(store.numbers(f"job-{round_}")) is not is_gone
    assert [finding for finding in store.check() if finding.kind == "damage"] == []
