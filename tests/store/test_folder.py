"""What only the folder kind can get wrong: modes, links, leftovers, a store that cannot be written."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_samples import make_job

from launch_jobs.errors import BadInput, NotFound, StoreError, Unavailable
from launch_jobs.job import Origin
from launch_jobs.store.content import os_failure
from launch_jobs.store.folder import FolderObjects
from launch_jobs.store.jobs import open_store

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store is, or will be."""
    return tmp_path / "store"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "victim").write_bytes(b"victim")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    """All files under a folder and their content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def unprivileged() -> Generator[None]:
    """Root may write everywhere: be nobody for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def limit(kind: int, most: int) -> Generator[None]:
    """A lower soft limit of this process for a while."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def test_nobody_else_may_read(root: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        objects = FolderObjects(root)
        objects.put_if_absent("a/b/c", b"x")
        objects.replace("a/b/c", b"y", expected=b"x")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()} == {0o600}


@pytest.mark.parametrize("key", ["a/new", "a/victim", "a/b/new"])
def test_a_planted_folder_link_leads_nowhere(root: Path, outside: Path, key: str) -> None:
    """A folder that is a symbolic link is neither written, read, replaced nor deleted through."""
    objects = FolderObjects(root)
    objects.put_if_absent("x", b"")
    (root / "a").symlink_to(outside)
    for call in (
        lambda: objects.put_if_absent(key, b"evil"),
        lambda: objects.replace(key, b"evil", expected=b"victim"),
        lambda: objects.get(key),
        lambda: objects.delete(key),
    ):
        with pytest.raises(StoreError, match="link"):
            call()
    assert everything(outside) == {"victim": b"victim"}


def test_a_planted_file_link_leads_nowhere(root: Path, outside: Path) -> None:
    """A file that is a symbolic link is not read, not replaced, not overwritten, and no key."""
    objects = FolderObjects(root)
    objects.put_if_absent("a/x", b"")
    (root / "a" / "v").symlink_to(outside / "victim")
    with pytest.raises(StoreError, match="link"):
        objects.get("a/v")
    with pytest.raises(StoreError, match="link"):
        objects.replace("a/v", b"evil", expected=b"victim")
    assert not objects.put_if_absent("a/v", b"evil")
    assert list(objects.keys("a/")) == ["a/x"]
    assert everything(outside) == {"victim": b"victim"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_something_else_in_the_next_versions_place(root: Path, outside: Path, kind: str) -> None:
    """What is no object, but takes the next version's name, is an error and not an endless search for a free one."""
    store = open_store(root.as_uri())
    (root / "versions" / "digits").mkdir(parents=True)
    taken = root / "versions" / "digits" / "v0"
    taken.mkdir() if kind == "folder" else taken.symlink_to(outside / "new")
    with pytest.raises(StoreError, match="versions/digits/v0"):
        store.add("digits", make_job(), Origin())
    assert everything(outside) == {"victim": b"victim"}


@pytest.mark.parametrize("name", [".parts", ".lock"])
def test_our_own_names_may_be_links_too(root: Path, outside: Path, name: str) -> None:
    """Links in the place of the folder of parts or of the lock make writing fail, and nothing outside changes."""
    objects = FolderObjects(root)
    objects.put_if_absent("a", b"one")
    shutil.rmtree(root / ".parts")
    (root / name).symlink_to(outside if name == ".parts" else outside / "victim")
    with pytest.raises(StoreError):
        objects.replace("a", b"two", expected=b"one")
    assert objects.get("a") == b"one"
    assert everything(outside) == {"victim": b"victim"}


def test_a_planted_fifo_does_not_block(root: Path) -> None:
    """Something that is no regular file is refused at once."""
    objects = FolderObjects(root)
    objects.put_if_absent("a/x", b"")
    os.mkfifo(root / "a" / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        objects.get("a/pipe")


def test_a_folder_in_an_objects_place(root: Path) -> None:
    """A folder is no object, and is not written over."""
    objects = FolderObjects(root)
    objects.put_if_absent("a/b", b"")
    with pytest.raises(StoreError):
        objects.get("a")
    assert not objects.put_if_absent("a", b"x")


def test_a_touched_file_is_young(root: Path) -> None:
    """What was touched is not removed as old; what was not is."""
    objects = FolderObjects(root)
    for key in ("a/touched", "a/old"):
        objects.put_if_absent(key, b"x")
        os.utime(root / key, (0, 0))
    objects.touch("a/touched")
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert [objects.delete_older(key, before) for key in ("a/touched", "a/old")] == [False, True]
    assert [entry.key for entry in objects.entries()] == ["a/touched"]


def test_strangers_are_entries_and_no_keys(root: Path, outside: Path) -> None:
    """Hidden files, odd names and links are seen by a check and by nobody else; our own lock and parts by nobody."""
    objects = FolderObjects(root)
    objects.put_if_absent("a/x", b"one")
    objects.replace("a/x", b"two", expected=b"one")
    (root / "a" / "é b").touch()
    (root / "a" / ".hidden").touch()
    (root / "a" / "link").symlink_to(outside)
    assert list(objects.keys("a/")) == ["a/x"]
    assert [entry.key for entry in objects.entries()] == ["a/.hidden", "a/link", "a/x", "a/é b"]


def test_parts_of_killed_writers_are_named(root: Path) -> None:
    """What a killed writer left is told by age, and removed on demand."""
    objects = FolderObjects(root)
    objects.put_if_absent("a", b"")
    (root / ".parts" / "left").touch()
    os.utime(root / ".parts" / "left", (0, 0))
    assert objects.unfinished(datetime.fromtimestamp(0, UTC)) == []
    assert objects.unfinished(datetime.now(UTC), remove=True) == [".parts/left"]
    assert objects.unfinished(datetime.now(UTC)) == []


def test_parts_of_files_are_no_keys_and_are_swept_when_old(root: Path) -> None:
    """What a killed writer left is ignored, kept while it may be in use, and removed after a day."""
    open_store(root.as_uri()).put_bytes(b"content")
    young, old = root / ".parts" / "young", root / ".parts" / "old"
    young.touch()
    old.touch()
    os.utime(old, (0, time.time() - 100_000))
    open_store(root.as_uri())
    assert (young.exists(), old.exists()) == (True, False)
    assert len(list(FolderObjects(root).keys("blobs/"))) == 1


def test_writing_leaves_no_parts(root: Path, outside: Path) -> None:
    """A part gets its name or goes, also for the writer that lost."""
    objects = FolderObjects(root)
    objects.put_if_absent("a", b"one")
    objects.put_if_absent("a", b"two")
    objects.replace("a", b"three", expected=b"one")
    objects.upload("b", outside / "victim")
    assert list((root / ".parts").iterdir()) == []


@pytest.mark.parametrize("expected", [None, b"one"])
def test_the_disk_has_a_file_before_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch, expected: bytes | None
) -> None:
    """Content is flushed before the file gets its name, and the name before the writer is told (power may go)."""
    objects, calls = FolderObjects(root), list[str]()
    objects.put_if_absent("a/b" if expected else "a/other", b"one")
    fsync, link, rename = os.fsync, os.link, os.rename

    def spy_fsync(descriptor: int) -> None:
        calls.append("flush folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "flush file")
        fsync(descriptor)

    def spy_name(*args: Any, **options: Any) -> None:
        calls.append("name")
        (rename if expected else link)(*args, **options)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "rename" if expected else "link", spy_name)
    assert objects.replace("a/b", b"two", expected=expected)
    assert calls == ["flush file", "name", "flush folder"]


def test_a_write_that_fails_half_way_leaves_nothing(root: Path) -> None:
    """When the system refuses the bytes there is no object and no part of one."""
    objects = FolderObjects(root)
    objects.put_if_absent("a/first", b"")
    with limit(resource.RLIMIT_FSIZE, 100_000), pytest.raises(StoreError, match="a/second"):
        objects.put_if_absent("a/second", bytes(500_000))
    assert list(objects.keys("a/")) == ["a/first"]
    assert list((root / ".parts").iterdir()) == []


def test_no_descriptor_is_left_open(root: Path, tmp_path: Path) -> None:
    """Reading, writing, listing and every kind of failure close what they opened."""
    objects = FolderObjects(root)
    before = len(list(Path("/dev/fd").iterdir()))
    for n in range(20):
        objects.put_if_absent("a/b/c", b"x")
        objects.replace("a/b/c", b"x", expected=b"x")
        with pytest.raises(NotFound):
            objects.get("a/none/c")
        objects.download("a/b/c", tmp_path / str(n))
        objects.delete("z/z")
    assert len(list(Path("/dev/fd").iterdir())) <= before


def test_too_many_open_files_is_worth_a_retry(root: Path) -> None:
    """Running out of descriptors is said as unavailable, not as damage."""
    objects = FolderObjects(root)
    objects.put_if_absent("a", b"one")
    with limit(resource.RLIMIT_NOFILE, 3), pytest.raises(Unavailable, match="ulimit"):
        objects.get("a")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_a_disk_in_trouble_is_unavailable(number: int) -> None:
    """A full or failing disk ends with code 4: trying again can help."""
    error = os_failure("object x", OSError(number, os.strerror(number)))
    assert isinstance(error, Unavailable)
    assert os.strerror(number) in str(error)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG])
def test_a_store_that_refuses_is_a_store_error(number: int) -> None:
    """A store that may not be written ends with code 2: trying again cannot help."""
    error = os_failure("object x", OSError(number, os.strerror(number)))
    assert isinstance(error, StoreError)
    assert error.exit_code == 2


def test_a_store_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that this user may not write is one line with where and what to do, and nothing half-done."""
    monkeypatch.delenv("TMPDIR", raising=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "store"
        store = open_store(root.as_uri())
        store.put_bytes(b"one")
        root.chmod(0o555)
        (root / "blobs").chmod(0o555)
        try:
            with unprivileged(), pytest.raises(StoreError, match="may read and write") as caught:
                store.put_bytes(b"two")
        finally:
            root.chmod(0o700)
            (root / "blobs").chmod(0o700)
        assert str(root) in str(caught.value)
        assert caught.value.exit_code == 2
        assert len(list(FolderObjects(root).keys("blobs/"))) == 1


def test_a_store_that_cannot_be_made() -> None:
    """A place where no folder can be made is refused when the store is opened."""
    with pytest.raises(StoreError, match="/sys/launch-jobs-no-such-store"):
        open_store("file:///sys/launch-jobs-no-such-store")


def test_a_new_store_is_marked_and_opens_again(root: Path) -> None:
    """Opening makes the folder once; what was put is there the next time."""
    first = open_store(root.as_uri())
    digest = first.put_bytes(b"content")
    open_store(root.as_uri()).get_blob(digest, root.parent / "read")
    assert (root.parent / "read").read_bytes() == b"content"


def test_a_root_with_odd_signs(tmp_path: Path) -> None:
    """Spaces, per cent signs and other scripts in the folder's name are its name."""
    root = tmp_path / "a b%20ü#?"
    open_store(root.as_uri())
    assert (root / "launch-jobs-store").is_file()


def test_a_folder_with_other_files_is_no_store(outside: Path) -> None:
    """Somebody's folder is not made a store, and stays as it is."""
    with pytest.raises(StoreError, match="other files"):
        open_store(outside.as_uri())
    assert everything(outside) == {"victim": b"victim"}


def test_a_file_is_no_store(outside: Path) -> None:
    """A file in the store's place is refused."""
    with pytest.raises(StoreError, match="victim"):
        open_store((outside / "victim").as_uri())


def test_a_store_open_to_everyone_is_refused(root: Path) -> None:
    """Where everybody may write, nothing can be trusted."""
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(StoreError, match="chmod 700"):
        open_store(root.as_uri())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "s3://B/x",
        "s3://bucket/../x",
        "s3://me@bucket",
        "s3://bucket?x",
        "s3://[/",
        "store",
        "/abs/path",
        "file://relative/x",
        "file:x",
        "http://h/x",
        "file:///a%00b",
        "FILE",
    ],
)
def test_urls_that_are_no_store(url: str) -> None:
    """Anything but file:///absolute/folder is bad input that names what is supported."""
    with pytest.raises(BadInput, match="file:///absolute/folder"):
        open_store(url)
