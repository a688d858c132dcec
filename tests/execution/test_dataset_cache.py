"""Datasets that agents keep to be mounted: fetched once, never half, never something of the agent's own host."""

from __future__ import annotations

import io
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from launch_jobs.capture.dataset_archive import pack_dataset
from launch_jobs.datasets import CarriedDataset, cache_dataset, cached_folder, fetch_datasets
from launch_jobs.errors import StoreError
from launch_jobs.job import TreeEntry, tree_digest
from launch_jobs.names import sha256
from launch_jobs.store.jobs import JobStore
from launch_jobs.store.sealed import is_whole
from launch_jobs.testing import MemoryObjects


def never() -> bool:
    """Nobody cancels."""
    return False


@pytest.fixture
def store() -> JobStore:
    """An empty store."""
    return JobStore(MemoryObjects())


@pytest.fixture
def dataset(store: JobStore, tmp_path: Path) -> CarriedDataset:
    """A dataset of two files that is in the store."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "a").write_text("a")
    (tmp_path / "data" / "deep" / "b").write_text("b")
    packed = pack_dataset(tmp_path / "data", tmp_path / "tar", "data")
    return CarriedDataset(
        name="d", url="file:data", digest=packed.digest, blob=store.put_blob(tmp_path / "tar"), place="data"
    )


def test_runs_that_start_together_share_one_copy(store: JobStore, dataset: CarriedDataset, tmp_path: Path) -> None:
    """Nobody's copy takes the place of one that another mounts already."""
    cache, folder, together = tmp_path / "cache", cached_folder(tmp_path / "cache", dataset.digest), Barrier(8)

    def start(_: int) -> int:
        together.wait()
        cache_dataset(store, dataset, cache, never)
        return (folder / "deep" / "b").stat().st_ino

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(start, range(8))}) == 1
    assert {path.name for path in cache.iterdir()} == {folder.name, f"{folder.name}.seal", f"{folder.name}.lock"}


def test_any_user_of_a_container_can_read_it(store: JobStore, dataset: CarriedDataset, tmp_path: Path) -> None:
    """Whatever the agent's umask; nobody can write it."""
    cache_dataset(store, dataset, tmp_path, never)
    folder = cached_folder(tmp_path, dataset.digest)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "deep", folder / "a")]
    assert modes == [0o755, 0o755, 0o444]


def test_what_was_changed_or_half_fetched_is_fetched_again(
    store: JobStore, dataset: CarriedDataset, tmp_path: Path
) -> None:
    """Also after an agent was killed in the middle."""
    folder = cached_folder(tmp_path, dataset.digest)
    half = tmp_path / f"{folder.name}.new" / "files"
    half.mkdir(parents=True)
    (half / "a").write_text("half")
    cache_dataset(store, dataset, tmp_path, never)
    (folder / "a").chmod(0o644)
    assert not is_whole(folder)
    (folder / "a").write_text("x")
    cache_dataset(store, dataset, tmp_path, never)
    assert ((folder / "a").read_text(), is_whole(folder), half.exists()) == ("a", True, False)


def test_a_cancelled_fetch_leaves_nothing(store: JobStore, dataset: CarriedDataset, tmp_path: Path) -> None:
    """But the lock's file."""
    cache_dataset(store, dataset, tmp_path / "cache", lambda: True)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_link_in_the_place_of_a_file_is_refused(store: JobStore, tmp_path: Path) -> None:
    """Or a job that somebody else wrote could have any folder of the agent's host copied into its container."""
    link = tarfile.TarInfo("data")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(link)
    digest = tree_digest([TreeEntry(path="data", mode="link", digest=sha256(b"/etc"))])
    blob = store.put_bytes(archive.getvalue())
    forged = CarriedDataset(name="d", url="file:data", digest=digest, blob=blob, file="data", place="data")
    with pytest.raises(StoreError, match="not the file"):
        fetch_datasets(store, [forged], tmp_path / "staging")
    as_folder = forged.model_copy(update={"file": None})
    cache_dataset(store, as_folder, tmp_path / "cache", never)
    with pytest.raises(StoreError, match="not the file"):
        cache_dataset(store, forged, tmp_path / "cache", never)


def test_an_archive_that_cannot_be_written_says_so(store: JobStore, tmp_path: Path) -> None:
    """One name twice: our own error, and no traceback in the run's log."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a"))
    forged = CarriedDataset(
        name="d", url="file:d", digest=sha256(b""), blob=store.put_bytes(archive.getvalue()), place="d"
    )
    with pytest.raises(StoreError, match="cannot write dataset 'd'"):
        fetch_datasets(store, [forged], tmp_path / "staging")
