"""A job as a file: whole, always the same bytes, and the same job wherever it is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from job_files import RECORD, git, git_job, repository, tree_of

from launch_jobs.capture import capture_code, capture_git
from launch_jobs.capture.source import checkout
from launch_jobs.errors import BadInput, StoreError
from launch_jobs.job import Distribution, Entrypoint, Environment, ImageSource, Job, JobVersion, Origin
from launch_jobs.names import sha256
from launch_jobs.portable import export_job, import_job
from launch_jobs.store.jobs import JobStore, open_store


def test_a_git_job_is_whole_without_its_remote(
    tmp_path: Path, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remote and first store are gone, and the source still comes out byte for byte, links and modes too."""
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", "file:///")  # the remote is a folder
    remote, clone = repository(tmp_path / "remote"), tmp_path / "clone"
    git(remote, "commit", "-am", "two")
    git(tmp_path, "clone", "--quiet", str(remote), str(clone))
    (clone / "new.txt").write_text("new\n")
    there = open_store((tmp_path / "there").as_uri())
    version = capture_git(clone, ["sh", "train.sh"], store=there)
    assert version.origin.remote and not version.origin.bundle
    export_job(version, there, tmp_path / "job")
    for gone in ("remote", "there"):
        shutil.rmtree(tmp_path / gone)
    imported = import_job(tmp_path / "job", store).version
    checkout(imported, store, tmp_path / "out")
    shutil.rmtree(clone / ".git")
    assert tree_of(tmp_path / "out") == tree_of(clone)
    assert imported.digest == version.digest


def test_import_gives_the_same_job_and_its_records(elsewhere: tuple[JobVersion, Path], store: JobStore) -> None:
    """Name, digest and records are those that were exported."""
    version, file = elsewhere
    done = import_job(file, store)
    assert (done.new, done.version.label, done.version.job) == (True, "train:v0", version.job)
    assert store.records(done.version) == [RECORD]


def test_a_carried_wheel_travels(tmp_path: Path, store: JobStore) -> None:
    """The wheel of a package that came from elsewhere on the capturing machine is in the file."""
    there = open_store((tmp_path / "there").as_uri())
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("import lib\n")
    (tmp_path / "wheel").write_bytes(b"a wheel")
    blob = there.put_blob(tmp_path / "wheel")
    carried = Distribution(name="lib", version="1", origin="wheel", url="lib-1-py3-none-any.whl", hashes=(blob,))
    made = capture_code(tmp_path / "code", ["sh"], store=there, name="job")
    job = made.job.model_copy(update={"environment": Environment(python="3.11.7", distributions=(carried,))})
    export_job(there.add("job", job, made.origin), there, tmp_path / "job")
    imported = import_job(tmp_path / "job", store).version
    store.get_blob(imported.job.environment.wheels["lib-1-py3-none-any.whl"], tmp_path / "came")
    assert (imported.digest, (tmp_path / "came").read_bytes()) == (job.digest, b"a wheel")


def test_import_again_changes_nothing(elsewhere: tuple[JobVersion, Path], store: JobStore, tmp_path: Path) -> None:
    """The second time it is there already, and the store has the same objects."""
    first = import_job(elsewhere[1], store)
    before = sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file())
    again = import_job(elsewhere[1], store)
    assert (again.new, again.version) == (False, first.version)
    assert sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file()) == before


def test_import_mends_a_lost_archive(elsewhere: tuple[JobVersion, Path], store: JobStore, tmp_path: Path) -> None:
    """What the store lost of an imported job comes back by importing it again."""
    version = import_job(elsewhere[1], store).version
    shutil.rmtree(tmp_path / "store" / "blobs")
    import_job(elsewhere[1], store)
    checkout(version, store, tmp_path / "out")
    assert (tmp_path / "out" / "train.sh").read_text() == "echo trained twice\n"


def test_import_under_another_name(elsewhere: tuple[JobVersion, Path], store: JobStore) -> None:
    """The job is the same; the name is the one given."""
    done = import_job(elsewhere[1], store, name="other")
    assert (store.names(), done.version.digest) == (["other"], elsewhere[0].digest)
    with pytest.raises(BadInput, match="cannot name a job"):
        import_job(elsewhere[1], store, name="../other")


def test_the_same_job_is_the_same_file(elsewhere: tuple[JobVersion, Path], store: JobStore, tmp_path: Path) -> None:
    """Exported again, and after an import under another number elsewhere, the bytes are equal."""
    store.add("train", Job(source=ImageSource(reference="x"), entrypoint=Entrypoint(argv=("x",))), Origin())
    version = import_job(elsewhere[1], store).version
    export_job(version, store, tmp_path / "again.job")
    assert version.label == "train:v1"
    assert (tmp_path / "again.job").read_bytes() == elsewhere[1].read_bytes()


def test_a_folder_and_an_image(tmp_path: Path, store: JobStore) -> None:
    """Every kind of source goes into a file; an image by its name only."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "run.sh").touch()
    there = open_store((tmp_path / "there").as_uri())
    image = Job(source=ImageSource(reference="x", digest=sha256(b"x")), entrypoint=Entrypoint(argv=("x",)))
    versions = [
        capture_code(tmp_path / "code", ["sh", "run.sh"], store=there),
        there.add("image", image, Origin()),
    ]
    for version in versions:
        export_job(version, there, tmp_path / version.name)
        assert import_job(tmp_path / version.name, store).version.digest == version.digest
    assert {
        len(import_job(tmp_path / one.name, store).version.origin.model_dump(exclude_defaults=True)) for one in versions
    } == {0, 1}


def test_a_file_that_is_there_is_kept(tmp_path: Path, store: JobStore) -> None:
    """Export writes new files only."""
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BadInput, match="there already"):
        export_job(git_job(tmp_path / "code", store), store, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_damaged_job_is_not_exported(tmp_path: Path, store: JobStore) -> None:
    """Neither is what cannot be written; nothing is left."""
    version = git_job(tmp_path / "code", store)
    with pytest.raises(StoreError, match="nowhere"):
        export_job(version, store, tmp_path / "nowhere" / "file")
    for blob in (tmp_path / "store" / "blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o600)
            blob.write_bytes(b"x" + blob.read_bytes())
    (tmp_path / "into").mkdir()
    with pytest.raises(StoreError):
        export_job(version, store, tmp_path / "into" / "file")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize(
    ("mark", "tool"),
    [
        ("run-1.wandb", "W&B"),
        ("files/wandb-metadata.json", "W&B"),
        ("MLproject", "MLflow"),
        ("meta.yaml", "MLflow"),
        ("x", "a folder"),
    ],
)
def test_folders_of_others_are_named(tmp_path: Path, store: JobStore, mark: str, tool: str) -> None:
    """What cannot be imported yet is told by its name."""
    (tmp_path / "theirs" / mark).parent.mkdir(parents=True)
    (tmp_path / "theirs" / mark).touch()
    with pytest.raises(BadInput, match=tool):
        import_job(tmp_path / "theirs", store)
