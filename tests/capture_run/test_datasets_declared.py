"""Datasets that a user declares: what becomes of them in the job, and what is refused before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from infrastructure.plugin import Bucket

from launch_jobs.capture import capture_code, run_tracked
from launch_jobs.datasets import fetch_datasets, find_datasets
from launch_jobs.errors import BadInput, CaptureError, LaunchError, NotFound, Refused, StoreError
from launch_jobs.job import Dataset, JobVersion, TreeEntry, tree_digest
from launch_jobs.names import sha256
from launch_jobs.run import Outcome, OutputFile, Outputs, Reason
from launch_jobs.store.jobs import JobStore

RUN = "0199d3a1-7c5e-7bb2-9d1e-0123456789ab"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source folder whose data is ignored, as the current folder; and data elsewhere."""
    folder = tmp_path / "project"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "train.csv").write_text("x,y\n1,2\n")
    (folder / "data" / "deep" / "tool").write_text("#!/bin/sh\n")
    (folder / "data" / "deep" / "tool").chmod(0o755)
    (folder / "data" / "link").symlink_to("/nowhere/at/all")
    (folder / ".launchignore").write_text("data\nlatest.bin\n")
    (folder / "main.py").write_text("import os; print(open(os.environ['LAUNCH_DATASET_TRAIN']).read())")
    (tmp_path / "elsewhere.bin").write_bytes(b"elsewhere")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    return folder


def capture(store: JobStore, datasets: Mapping[str, str]) -> JobVersion:
    """A job of the current folder with datasets."""
    return capture_code(Path.cwd(), ["python3", "main.py"], store=store, datasets=datasets)


def fetched(store: JobStore, version: JobVersion, into: Path) -> dict[str, bytes]:
    """What a run of a job would be given, by path."""
    fetch_datasets(store, find_datasets(store, {}, version), into)
    found = {path.relative_to(into).as_posix(): path for path in into.rglob("*")}
    return {
        name: os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        for name, path in found.items()
        if path.is_symlink() or path.is_file()
    }


def test_a_folder_is_carried_with_links_and_modes(store: JobStore, project: Path, tmp_path: Path) -> None:
    """Its digest is that of its tree; what is fetched is the same, though the folder is gone by then."""
    version = capture(store, {"data": "data"})
    entries = [
        TreeEntry(path="train.csv", mode="644", digest=sha256(b"x,y\n1,2\n")),
        TreeEntry(path="deep/tool", mode="755", digest=sha256(b"#!/bin/sh\n")),
        TreeEntry(path="link", mode="link", digest=sha256(b"/nowhere/at/all")),
    ]
    assert version.job.datasets == (Dataset(name="data", url="file:data", digest=tree_digest(entries)),)
    (project / "data").rename(project / "gone")
    assert fetched(store, version, tmp_path / "into") == {
        "data/train.csv": b"x,y\n1,2\n",
        "data/deep/tool": b"#!/bin/sh\n",
        "data/link": b"/nowhere/at/all",
    }
    assert os.access(tmp_path / "into" / "data" / "deep" / "tool", os.X_OK)


def test_a_file_elsewhere_is_expected_at_its_own_path(store: JobStore, project: Path, tmp_path: Path) -> None:
    """Also when it was named by a path that leads up, or by a link."""
    (project / "latest.bin").symlink_to(tmp_path / "elsewhere.bin")
    version = capture(store, {"up": "../elsewhere.bin", "link": "latest.bin"})
    assert {one.name: one.url for one in version.job.datasets} == {
        "up": f"file:{tmp_path}/elsewhere.bin",
        "link": "file:latest.bin",
    }
    found = fetched(store, version, tmp_path / "into")
    assert found == {"up/elsewhere.bin": b"elsewhere", "link/latest.bin": b"elsewhere"}


def test_the_same_data_is_the_same_version_and_other_data_another(store: JobStore, project: Path) -> None:
    """The digest covers the data, and nothing that does not decide the result."""
    first = capture(store, {"train": "data/train.csv"})
    assert capture(store, {"train": str(project / "data" / "train.csv")}).version == first.version
    (project / "data" / "train.csv").write_text("x,y\n1,3\n")
    assert capture(store, {"train": "data/train.csv"}).version == first.version + 1


def test_a_tracked_run_finds_its_dataset_by_the_variable(
    store: JobStore, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same variable names it here as on a queue."""
    ended = run_tracked(["python3", "main.py"], store=store, directory=project, datasets={"train": "data/train.csv"})
    assert ended.problem is None
    assert ended.exit_code == 0
    assert "1,2" in capfd.readouterr().out
    assert ended.version is not None
    assert [one.is_file for one in ended.version.job.datasets] == [True]


@pytest.mark.parametrize(
    ("datasets", "kind", "words"),
    [
        ({"train": "data/test.csv"}, NotFound, "no file or folder"),
        ({"a-b": "data"}, BadInput, "cannot name a dataset"),
        ({"a": "data", "A": "data"}, BadInput, "one variable"),
        ({"all": "."}, BadInput, "can be given nothing"),
        ({"sys": "/proc/self"}, BadInput, "can be given nothing"),
        ({"web": "https://example.org/x"}, BadInput, "nothing is known of https"),
        ({"s3": "s3://bucket"}, BadInput, "names no object"),
        ({"job": "job://nothing:latest/x"}, NotFound, "nothing"),
        ({"run": "outputs://0199d3a1-0000-7000-8000-000000000000"}, NotFound, "no outputs"),
    ],
)
def test_what_is_no_dataset_is_refused(
    store: JobStore, project: Path, datasets: dict[str, str], kind: type[LaunchError], words: str
) -> None:
    """Each is told by name, and no job is made."""
    del project
    with pytest.raises(kind, match=words):
        capture(store, datasets)
    assert store.names() == []


def test_secrets_empty_folders_and_sockets_are_refused(store: JobStore, project: Path) -> None:
    """Nobody wants them in a job store."""
    (project / "data" / ".netrc").write_text("machine x password y")
    with pytest.raises(Refused, match=r"\.netrc"):
        capture(store, {"data": "data"})
    (project / "empty").mkdir()
    with pytest.raises(CaptureError, match="holds no file"):
        capture(store, {"empty": "empty"})
    os.mkfifo(project / "empty" / "pipe")
    with pytest.raises(CaptureError, match="pipe"):
        capture(store, {"empty": "empty"})


def leave(store: JobStore, tmp_path: Path, attempt: int, content: bytes) -> None:
    """An attempt of an earlier run that ended and left one file."""
    (tmp_path / "left").write_bytes(content)
    file = OutputFile(path="model.bin", size=len(content), digest=sha256(content))
    store.put_output(RUN, attempt, file, tmp_path / "left")
    ended = {"run": RUN, "attempt": attempt, "place": "process://h/p", "reason": Reason.EXITED, "exit_code": 0}
    outcome = {"message": "", "ended": "2026-01-01T00:00:00+00:00", "outputs": Outputs(files=(file,))}
    store.put_outcome(Outcome.model_validate(ended | outcome))


def test_an_alias_of_a_run_becomes_its_latest_attempt(store: JobStore, project: Path, tmp_path: Path) -> None:
    """What it meant then is in the job, what was typed beside it; a later attempt changes nothing."""
    del project
    leave(store, tmp_path, 1, b"first")
    version = capture(store, {"model": f"outputs://{RUN}"})
    leave(store, tmp_path, 2, b"second")
    expected = tree_digest([TreeEntry(path="model.bin", mode="644", digest=sha256(b"first"))])
    assert version.job.datasets == (Dataset(name="model", url=f"outputs://{RUN}/1", digest=expected),)
    assert version.origin.datasets["model"].size == 5
    assert fetched(store, version, tmp_path / "into") == {"model/model.bin": b"first"}


def test_a_dataset_of_another_job_is_the_same_content(store: JobStore, project: Path, tmp_path: Path) -> None:
    """An alias is resolved when the job is made, and both are recorded."""
    first = capture(store, {"train": "data/train.csv"})
    (project / "main.py").write_text("pass")
    second = capture(store, {"again": f"job://{first.name}:latest/train"})
    assert second.job.datasets[0].digest == first.job.datasets[0].digest
    assert second.origin.datasets["again"].declared == f"job://{first.name}:latest/train"
    assert fetched(store, second, tmp_path / "into") == {"again/train.csv": b"x,y\n1,2\n"}
    with pytest.raises(NotFound, match="no dataset 'test'"):
        capture(store, {"again": f"job://{first.name}:latest/test"})


def test_a_deleted_blob_is_told_before_anything_starts(store: JobStore, project: Path, tmp_path: Path) -> None:
    """The content belongs to the version: a sweep leaves it, and without it the run has a clear end."""
    version = capture(store, {"train": "data/train.csv"})
    (blob,) = (one.blob for one in version.origin.datasets.values())
    assert blob is not None
    (file,) = (path for path in (tmp_path / "store").rglob(blob.removeprefix("sha256:")) if path.is_file())
    file.unlink()
    with pytest.raises(StoreError, match="missing"):
        fetched(store, version, tmp_path / "into")
    del project


def test_an_archive_of_other_content_never_reaches_a_run(store: JobStore, project: Path, tmp_path: Path) -> None:
    """A blob that is whole, but not the dataset, ends the run before the program starts."""
    version = capture(store, {"train": "data/train.csv"})
    (project / "data" / "train.csv").write_text("other")
    other = capture(store, {"train": "data/train.csv"})
    mixed = version.model_copy(update={"origin": other.origin})
    with pytest.raises(StoreError, match="nothing was started"):
        fetched(store, mixed, tmp_path / "into")


def put(s3: Bucket, key: str, body: bytes) -> None:
    """An object in the bucket."""
    s3.client.put_object(Bucket=s3.name, Key=key, Body=body)


def test_objects_are_what_they_were_or_nothing_starts(
    store: JobStore, project: Path, tmp_path: Path, s3: Bucket
) -> None:
    """Recorded by ETag; fetched as they were; one that changed is refused by name."""
    del project
    for number in range(60):
        put(s3, f"data/part/{number}.csv", b"%d" % number)
    put(s3, "data/folder/", b"")
    version = capture(store, {"data": f"s3://{s3.name}/data/"})
    put(s3, "data/later.csv", b"later")
    found = fetched(store, version, tmp_path / "into")
    assert found == {f"data/part/{number}.csv": b"%d" % number for number in range(60)}
    put(s3, "data/part/7.csv", b"changed")
    with pytest.raises(Refused, match=r"part/7\.csv is not what"):
        fetched(store, version, tmp_path / "into")


def test_in_a_versioned_bucket_the_old_version_is_fetched(
    store: JobStore, project: Path, tmp_path: Path, s3: Bucket
) -> None:
    """Whoever writes a new version changes nothing for a job; who removes the old one, ends its runs."""
    del project
    s3.client.put_bucket_versioning(Bucket=s3.name, VersioningConfiguration={"Status": "Enabled"})
    put(s3, "train.csv", b"old")
    version = capture(store, {"one": f"s3://{s3.name}/train.csv"})
    put(s3, "train.csv", b"new")
    assert fetched(store, version, tmp_path / "into") == {"one/train.csv": b"old"}
    for one in s3.client.list_object_versions(Bucket=s3.name)["Versions"]:
        s3.client.delete_object(Bucket=s3.name, Key="train.csv", VersionId=one.get("VersionId", ""))
    with pytest.raises(Refused, match="nothing was started"):
        fetched(store, version, tmp_path / "into")


def test_an_object_that_is_not_there_is_refused(store: JobStore, project: Path, s3: Bucket) -> None:
    """At capture, with what to mend."""
    del project
    with pytest.raises(NotFound, match="there is no object"):
        capture(store, {"one": f"s3://{s3.name}/train.csv"})
    with pytest.raises(NotFound, match="nothing at"):
        capture(store, {"one": f"s3://{s3.name}/data/"})
