"""Pruning an attempt's log or outputs alone: the rest stays readable, and the store whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_samples import RUN, fill, make_outcome

from launch_jobs.errors import NotFound, StoreError
from launch_jobs.run import OutputFile
from launch_jobs.store import keys
from launch_jobs.store.check import check_store
from launch_jobs.store.jobs import JobStore, open_store
from launch_jobs.testing import MemoryObjects


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """An empty store."""
    return open_store((tmp_path / "store").as_uri())


def _kept(store: JobStore) -> set[str]:
    return {content.part for content in store.contents() if content.run == RUN}


def test_a_log_that_is_an_output_too_stays_as_that(store: JobStore, tmp_path: Path) -> None:
    """Content is kept once: dropping the log must not take the output with it, nor the other way round."""
    _, output = fill(store, tmp_path)
    store.drop_log(RUN, 1)
    assert not store.get_log(RUN, 1, tmp_path / "log")
    store.get_output(RUN, 1, output, tmp_path / "output")
    assert _kept(store) == {"outputs", "outcome"}
    assert list(store.check()) == []


def test_dropped_outputs_are_told_apart_from_lost_ones(store: JobStore, tmp_path: Path) -> None:
    """Pruned ones are NotFound and no finding; the log stays; dropping again changes nothing."""
    output = OutputFile(path="a", size=3, digest=store.put_bytes(b"abc"))
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "log-in").write_bytes(b"printed")
    store.put_output(RUN, 1, output, tmp_path / "a")
    store.put_log(RUN, 1, tmp_path / "log-in")
    store.put_outcome(make_outcome(outputs=(output,)))
    for _ in range(2):
        store.drop_outputs(RUN, 1)
        assert _kept(store) == {"log", "outcome"}
    with pytest.raises(NotFound, match="were pruned"):
        store.get_output(RUN, 1, output, tmp_path / "out")
    assert store.get_log(RUN, 1, tmp_path / "log")
    assert list(store.check()) == []
    store.delete_run(RUN)
    assert _kept(store) == set()


def test_a_lost_output_is_damage(tmp_path: Path) -> None:
    """Without the mark the same hole is a finding."""
    objects = MemoryObjects()
    store = JobStore(objects)
    _, output = fill(store, tmp_path)
    key = keys.file(RUN, 1, output.digest)
    objects.delete(key)
    assert key in {finding.key for finding in check_store(objects) if finding.kind == "damage"}
    with pytest.raises(StoreError):
        store.get_output(RUN, 1, output, tmp_path / "out")
