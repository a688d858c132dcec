"""A checkout is the captured tree, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Repo, capture, tree_of

from launch_jobs.capture.source import checkout
from launch_jobs.errors import BadInput, StoreError
from launch_jobs.job import Entrypoint, ImageSource, JobVersion
from launch_jobs.names import Digest, sha256
from launch_jobs.store.jobs import JobStore


@pytest.fixture
def version(repo: Repo, store: JobStore) -> JobVersion:
    """A job of a bundle and a patch."""
    (repo.root / "train.py").write_text("changed\n")
    return capture(repo.root, store)


def _blob_file(root: Path, digest: Digest) -> Path:
    (found,) = (file for file in root.rglob("*") if file.is_file() and sha256(file.read_bytes()) == digest)
    return found


@pytest.mark.parametrize("blob", ["patch", "bundle"])
@pytest.mark.parametrize("damage", ["tampered", "truncated", "missing"])
def test_damaged_blob(store: JobStore, tmp_path: Path, version: JobVersion, blob: str, damage: str) -> None:
    """A blob that is not what was written gives an error and no folder."""
    file = _blob_file(tmp_path / "store", version.origin.model_dump()[blob])
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(data[: len(data) // 2] if damage == "truncated" else data.replace(b"\n", b"\r", 1))
    with pytest.raises((StoreError, BadInput)):
        checkout(version, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if "checkout" in path.name] == []


def test_other_patch(store: JobStore, tmp_path: Path, version: JobVersion) -> None:
    """A patch that is whole, but another job's, gives another tree, which is refused."""
    other = version.model_copy(update={"origin": version.origin.model_copy(update={"patch": None})})
    with pytest.raises(StoreError, match=f"{version.digest} came out as sha256:"):
        checkout(other, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no bundle", b"# v2 git bundle\n-xyz\n\n", b"# v2 git bundle\n\nPACK"])
def test_blob_that_is_no_bundle(store: JobStore, tmp_path: Path, version: JobVersion, content: bytes) -> None:
    """Another file in the bundle's place is refused in one line."""
    digest = store.put_bytes(content)
    other = version.model_copy(update={"origin": version.origin.model_copy(update={"bundle": digest})})
    with pytest.raises(StoreError, match="bundle") as refusal:
        checkout(other, store, tmp_path / "out")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../evil", ".git/hooks/evil", "/evil"])
def test_patch_that_leaves_the_tree(store: JobStore, tmp_path: Path, version: JobVersion, name: str) -> None:
    """A patch cannot write outside the folder, or into a repository."""
    patch = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"
    digest = store.put_bytes(patch.encode())
    other = version.model_copy(update={"origin": version.origin.model_copy(update={"patch": digest})})
    with pytest.raises(StoreError):
        checkout(other, store, tmp_path / "parent" / "out")
    assert not list(tmp_path.rglob("evil"))


def test_into_an_empty_folder(repo: Repo, store: JobStore, tmp_path: Path, version: JobVersion) -> None:
    """An empty folder is filled."""
    (tmp_path / "out").mkdir()
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out", without=()) == tree_of(repo.root)


@pytest.mark.parametrize(("directory", "made"), [("empty/inner", "out/empty/inner"), ("../out2", "out")])
def test_the_programs_folder_is_there_without_files(
    store: JobStore, tmp_path: Path, version: JobVersion, directory: str, made: str
) -> None:
    """Git carries no empty folder, but a program may have been started in one; none is made outside the tree."""
    entrypoint = Entrypoint(argv=("python", "train.py"), directory=directory)
    job = version.job.model_copy(update={"entrypoint": entrypoint})
    checkout(version.model_copy(update={"job": job}), store, tmp_path / "out")
    assert (tmp_path / made).is_dir()
    assert not list(tmp_path.glob("**/out2"))


def test_into_a_relative_folder(
    repo: Repo, store: JobStore, tmp_path: Path, version: JobVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder relative to the working directory, as a user types it, is filled."""
    monkeypatch.chdir(tmp_path)
    checkout(version, store, Path("deep/out"))
    assert tree_of(tmp_path / "deep" / "out", without=()) == tree_of(repo.root)


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_into_what_is_there(store: JobStore, tmp_path: Path, version: JobVersion, kind: str) -> None:
    """Nothing of the user's is written over."""
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        out.symlink_to(tmp_path)
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    with pytest.raises(BadInput, match="not an empty folder"):
        checkout(version, store, out)


def test_image_has_no_source(store: JobStore, tmp_path: Path, version: JobVersion) -> None:
    """A job of a ready image cannot be checked out."""
    job = version.job.model_copy(update={"source": ImageSource(reference="busybox")})
    with pytest.raises(BadInput, match="busybox and has no source"):
        checkout(version.model_copy(update={"job": job}), store, tmp_path / "out")


def test_twice_is_the_same(store: JobStore, tmp_path: Path, version: JobVersion) -> None:
    """Two checkouts are equal and independent."""
    checkout(version, store, tmp_path / "one")
    checkout(version, store, tmp_path / "two" / "deep")
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two" / "deep")
