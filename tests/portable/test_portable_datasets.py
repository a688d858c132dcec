"""A job file holds the datasets that its job carries."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from job_files import parts_of, put_together, with_manifest

from launch_jobs.capture import capture_code
from launch_jobs.datasets import fetch_datasets, find_datasets
from launch_jobs.errors import BadInput
from launch_jobs.job import JobVersion
from launch_jobs.portable import export_job, import_job
from launch_jobs.store.jobs import JobStore, open_store


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[JobVersion, Path]:
    """A job with a dataset, as a file; the store and the data it was made from are gone."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(open('train.csv').read())\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("1,2\n")
    monkeypatch.chdir(tmp_path / "code")
    there = open_store((tmp_path / "there").as_uri())
    version = capture_code(
        tmp_path / "code", ["python3", "train.py"], store=there, datasets={"train": str(tmp_path / "data")}
    )
    export_job(version, there, tmp_path / "job")
    shutil.rmtree(tmp_path / "there")
    shutil.rmtree(tmp_path / "data")
    return version, tmp_path / "job"


def test_a_declared_dataset_travels(exported: tuple[JobVersion, Path], store: JobStore, tmp_path: Path) -> None:
    """Another machine without our store runs it on the same data."""
    version, file = exported
    imported = import_job(file, store).version
    assert (imported.digest, imported.origin.datasets) == (version.digest, version.origin.datasets)
    fetch_datasets(store, find_datasets(store, {}, imported), tmp_path / "came")
    assert [one.read_text() for one in (tmp_path / "came").rglob("train.csv")] == ["1,2\n"]


def test_exported_again_it_is_the_same_file(exported: tuple[JobVersion, Path], store: JobStore, tmp_path: Path) -> None:
    """Byte for byte."""
    _, file = exported
    export_job(import_job(file, store).version, store, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_dataset_that_the_job_does_not_declare_is_refused(
    exported: tuple[JobVersion, Path], store: JobStore, tmp_path: Path
) -> None:
    """Nothing is kept that no job asks for."""
    parts = with_manifest(
        parts_of(exported[1]), lambda told: told["origin"]["datasets"].update(other=told["origin"]["datasets"]["train"])
    )
    with pytest.raises(BadInput, match="does not declare"):
        import_job(put_together(tmp_path / "changed", parts), store)
    assert store.names() == []
