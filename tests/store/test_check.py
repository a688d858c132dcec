"""What a check of the store finds: every kind of damage to every object that anything refers to, and no false alarm."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from infrastructure.plugin import Bucket
from store_samples import RUN, fill, make_job, make_outcome

from launch_jobs.job import Origin
from launch_jobs.names import sha256
from launch_jobs.run import OutputFile
from launch_jobs.store import Entry, Objects, keys
from launch_jobs.store.check import Finding, check_store
from launch_jobs.store.folder import FolderObjects
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.testing import MemoryObjects

LAWS = settings(database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UNSEEN = {"aliases/digits/best", f"logs/{RUN}/1", f"outcomes/{RUN}/1", "records/digits/v0/run-1"}
"""Nothing refers to these: nobody can know that they are lost."""


def found(objects: Objects) -> dict[str, str]:
    """What a check says some time after, by key."""
    return {finding.key: finding.kind for finding in check_store(objects, now=datetime.now(UTC) + timedelta(hours=1))}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder store with one of everything, a deleted version too; each test leaves it as it was."""
    scratch = tmp_path_factory.mktemp("filled")
    store = open_store((scratch / "store").as_uri())
    fill(store, scratch)
    store.set_alias("digits", "best", 0)
    store.delete_version("digits", store.add("digits", make_job("gone"), Origin()).version)
    yield scratch / "store"
    shutil.rmtree(scratch)


def objects_in(root: Path) -> list[Path]:
    """All objects, empty marks too."""
    listed = [root / entry.key for entry in FolderObjects(root).entries()]
    assert len({path.relative_to(root).parts[0] for path in listed}) == 9
    return listed


def key_of(root: Path, path: Path) -> str:
    """The key of a file."""
    return str(path.relative_to(root))


def test_a_whole_store_has_no_findings(filled: Path) -> None:
    """No false alarm, also of what was deleted."""
    assert found(FolderObjects(filled)) == {}


def test_progress_is_told(filled: Path) -> None:
    """Whoever waits is told how far it is."""
    said: list[str] = []
    assert list(check_store(FolderObjects(filled), said.append)) == []
    assert said[-1].startswith(f"{len(objects_in(filled))} objects")


@given(st.data())
@settings(LAWS, max_examples=150)
def test_any_changed_byte_is_found(filled: Path, data: st.DataObject) -> None:
    """One byte of any object changed: the check names that object."""
    path = data.draw(st.sampled_from([path for path in objects_in(filled) if path.stat().st_size]))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        assert found(FolderObjects(filled))[key_of(filled, path)] == "damage"
    finally:
        path.write_bytes(before)


@given(st.data())
@settings(LAWS, max_examples=150)
def test_any_other_length_is_found(filled: Path, data: st.DataObject) -> None:
    """Any object cut anywhere, or longer than written, also an empty mark: the check names that object."""
    path = data.draw(st.sampled_from(objects_in(filled)))
    before = path.read_bytes()
    cut = data.draw(st.integers(0, len(before)))
    path.write_bytes(before[:cut] if cut < len(before) else before + b"\n")
    try:
        assert found(FolderObjects(filled))[key_of(filled, path)] == "damage"
    finally:
        path.write_bytes(before)


def test_any_two_swapped_objects_are_found(filled: Path) -> None:
    """Two objects in each other's places: the check names both."""
    for one, other in itertools.combinations(objects_in(filled), 2):
        first, second = one.read_bytes(), other.read_bytes()
        if first == second:
            continue
        one.write_bytes(second)
        other.write_bytes(first)
        try:
            assert {key_of(filled, one), key_of(filled, other)} <= found(FolderObjects(filled)).keys()
        finally:
            one.write_bytes(first)
            other.write_bytes(second)


def test_any_lost_object_that_is_referred_to_is_found(filled: Path) -> None:
    """Each object deleted: the check names it, or what pointed to it; but for what nothing refers to."""
    hidden = set[str]()
    for path in objects_in(filled):
        before = path.read_bytes()
        path.unlink()
        findings = found(FolderObjects(filled))
        if not findings:
            hidden.add(key_of(filled, path))
        elif findings.get(key_of(filled, path)) is None:
            assert key_of(filled, path) == "versions/digits/v2.deleted"
        path.write_bytes(before)
    assert hidden == UNSEEN | {"versions/digits/v2.deleted"}


def test_a_gap_in_the_numbers_is_found(objects: Objects) -> None:
    """Versions that are lost with everything that told of them are missed by those above them."""
    store = JobStore(objects)
    for word in ("one", "two", "three"):
        store.add("digits", make_job(word), Origin())
    lost = [key for key in objects.keys("digests/") if not key.endswith(".v2")]
    for key in (*lost, keys.version("digits", 0), keys.version("digits", 1)):
        objects.delete(key)
    assert found(objects).keys() - {keys.MARKER} == {keys.version("digits", 0), keys.version("digits", 1)}


class Busy(MemoryObjects):
    """A storage whose first listing was taken before everything that is in it was written."""

    listings = 0

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Nothing, the first time."""
        self.listings += 1
        return iter(()) if self.listings == 1 else super().entries(prefix)


def test_what_is_written_during_a_check_is_no_finding(tmp_path: Path) -> None:
    """What is referred to is looked for again before it is called missing."""
    objects = Busy()
    fill(JobStore(objects), tmp_path)
    assert found(objects) == {keys.MARKER: "damage"}


def test_a_mark_that_hides_a_version_is_found(filled: Path) -> None:
    """A version that was not deleted cannot be hidden by a mark unseen."""
    objects = FolderObjects(filled)
    mark = keys.deleted_mark("digits", 0)
    objects.put_if_absent(mark, b"")
    try:
        assert found(objects)[mark] == "damage"
    finally:
        objects.delete(mark)


def test_a_wrong_digest_mark_is_found(filled: Path) -> None:
    """A mark that tells another digest slows down, and is named; so is one of no version."""
    objects = FolderObjects(filled)
    marks = [keys.digest_mark("digits", sha256(b"other"), 0), keys.digest_mark("digits", sha256(b"other"), 9)]
    for mark in marks:
        objects.put_if_absent(mark, b"")
    try:
        assert found(objects) == {marks[0]: "stray", "versions/digits/v9": "damage"}
    finally:
        for mark in marks:
            objects.delete(mark)


STRANGERS = ["README", "versions/digits/README", "versions/digits/v01", "blobs/ab/" + "0" * 64, "a/b", "versions/X/v0"]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_strangers_are_named(filled: Path, stranger: str) -> None:
    """What is not ours is named, and not called damage."""
    (filled / stranger).parent.mkdir(parents=True, exist_ok=True)
    (filled / stranger).write_bytes(b"?")
    try:
        assert found(FolderObjects(filled)) == {stranger: "stray"}
    finally:
        (filled / stranger).unlink()


def test_a_planted_link_is_named(filled: Path, tmp_path: Path) -> None:
    """A link in an object's place is damage, wherever it leads."""
    path = filled / "versions" / "digits" / "v3"
    path.symlink_to(tmp_path)
    try:
        assert found(FolderObjects(filled))["versions/digits/v3"] == "damage"
    finally:
        path.unlink()


def test_what_a_killed_writer_left_is_named(filled: Path) -> None:
    """A part of a file that is a day old belongs to nobody."""
    part = filled / ".parts" / "left"
    part.touch()
    os.utime(part, (0, 0))
    try:
        assert found(FolderObjects(filled)) == {".parts/left": "stray"}
    finally:
        part.unlink()


def test_a_version_that_is_being_published_is_no_finding(objects: Objects) -> None:
    """Between a version and its mark and alias the writer may still be at work."""
    store = JobStore(objects)
    store.add("digits", make_job(), Origin())
    for key in (*objects.keys("digests/"), keys.alias("digits", "latest")):
        objects.delete(key)
    assert [finding.key for finding in check_store(objects)] == [keys.MARKER]
    assert len(found(objects)) == 3


def test_an_output_with_a_path_that_leaves_its_folder_is_found(objects: Objects) -> None:
    """An outcome that nobody may read is named."""
    from launch_jobs.store.envelope import seal

    evil = make_outcome(outputs=(OutputFile(path="../x", size=1, digest=sha256(b"x")),))
    key = keys.outcome(RUN, 1)
    objects.put_if_absent(key, seal(key, evil))
    assert found(objects)[key] == "damage"


def test_a_flipped_byte_in_s3_is_named(s3: Bucket, tmp_path: Path) -> None:
    """The same damage is found in a bucket, and what to do is said."""
    store = open_store(s3.url)
    fill(store, tmp_path)
    assert list(store.check()) == []
    for entry in s3.client.list_objects_v2(Bucket=s3.name, Prefix="store/").get("Contents", []):
        key, size = entry.get("Key", ""), entry.get("Size", 0)
        if not size:
            continue
        before = s3.client.get_object(Bucket=s3.name, Key=key)["Body"].read()
        s3.client.put_object(Bucket=s3.name, Key=key, Body=before[:-1] + bytes([before[-1] ^ 1]))
        findings: list[Finding] = [one for one in store.check() if one.key == key.removeprefix("store/")]
        assert findings
        assert findings[0].do
        s3.client.put_object(Bucket=s3.name, Key=key, Body=before)
