"""Laws of the job store: versions are dense and idempotent; no damage to any file goes unseen."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import fill, make_job, read_everything

from launch_jobs.errors import StoreError
from launch_jobs.job import Origin
from launch_jobs.names import JobRef
from launch_jobs.store.folder import FolderObjects
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.testing import MemoryObjects

LAWS = settings(database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.lists(st.tuples(st.sampled_from(["a", "a-b", "b"]), st.integers(0, 4)), max_size=25))
@settings(LAWS, max_examples=60)
def test_versions_are_dense_and_idempotent(captures: list[tuple[str, int]]) -> None:
    """Whatever is captured in whatever order: each content has one version, numbers have no gap, latest is the last."""
    store = JobStore(MemoryObjects())
    expected: dict[str, list[int]] = {}
    for name, content in captures:
        known = expected.setdefault(name, [])
        if content not in known:
            known.append(content)
        added = store.add(name, make_job(str(content)), Origin())
        assert added.version == known.index(content)
        assert store.resolve(JobRef(name)) == added
    assert store.names() == sorted(expected)
    for name, contents in expected.items():
        jobs = [make_job(str(content)) for content in contents]
        assert [(version.version, version.job) for version in store.versions(name)] == list(enumerate(jobs))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder store with one of everything; each test leaves it as it was."""
    scratch = tmp_path_factory.mktemp("filled")
    fill(open_store((scratch / "store").as_uri()), scratch)
    yield scratch / "store"
    shutil.rmtree(scratch)


def objects_in(root: Path) -> list[Path]:
    """All files with content that the store keeps."""
    found = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    assert len({path.relative_to(root).parts[0] for path in found}) == 8
    return sorted(found)


def refused(root: Path, scratch: Path) -> str:
    """What reading everything says; it must not come to an end."""
    with pytest.raises(StoreError) as caught:
        read_everything(open_store(root.as_uri()), scratch)
    assert caught.value.do
    return str(caught.value)


def test_an_undamaged_store_is_read_whole(filled: Path, tmp_path: Path) -> None:
    """Reading everything succeeds, so that the refusals below mean something."""
    read_everything(open_store(filled.as_uri()), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"read-blob", "read-output", "read-log"}


@given(st.data())
@settings(LAWS, max_examples=150)
def test_any_changed_byte_of_any_file_is_refused(filled: Path, tmp_path: Path, data: st.DataObject) -> None:
    """One byte of one object changed: reading everything fails and names that object."""
    path = data.draw(st.sampled_from(objects_in(filled)))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        assert str(path.relative_to(filled)) in refused(filled, tmp_path)
    finally:
        path.write_bytes(before)


@given(st.data())
@settings(LAWS, max_examples=150)
def test_any_truncation_of_any_file_is_refused(filled: Path, tmp_path: Path, data: st.DataObject) -> None:
    """One object cut anywhere, or longer than written: reading everything fails and names that object."""
    path = data.draw(st.sampled_from(objects_in(filled)))
    before = path.read_bytes()
    cut = data.draw(st.integers(0, len(before)))
    path.write_bytes(before[:cut] if cut < len(before) else before + b"\n")
    try:
        assert str(path.relative_to(filled)) in refused(filled, tmp_path)
    finally:
        path.write_bytes(before)


def test_any_two_objects_swapped_are_refused(filled: Path, tmp_path: Path) -> None:
    """Two whole objects in each other's places: reading everything fails."""
    for one, other in itertools.combinations(objects_in(filled), 2):
        first, second = one.read_bytes(), other.read_bytes()
        if first == second:
            continue
        one.write_bytes(second)
        other.write_bytes(first)
        try:
            refused(filled, tmp_path)
        finally:
            one.write_bytes(first)
            other.write_bytes(second)


def test_any_blob_or_version_that_is_lost_is_missed(filled: Path, tmp_path: Path) -> None:
    """A content or version that others point to cannot vanish unseen."""
    kept = {"blobs", "files"}
    for path in (path for path in objects_in(filled) if path.relative_to(filled).parts[0] in kept):
        before = path.read_bytes()
        path.unlink()
        try:
            assert "missing" in refused(filled, tmp_path)
        finally:
            path.write_bytes(before)


def test_a_store_of_a_later_launch_jobs_is_not_opened(filled: Path) -> None:
    """The marker says the schema; an unknown one is refused before anything is read or written."""
    marker = filled / "launch-jobs-store"
    before = marker.read_bytes()
    marker.write_bytes(
        FolderObjects(filled).get("launch-jobs-store").replace(b'"schema_version":1', b'"schema_version":2')
    )
    try:
        with pytest.raises(StoreError, match="launch-jobs-store"):
            open_store(filled.as_uri())
    finally:
        marker.write_bytes(before)
