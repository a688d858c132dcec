"""What every keeper of objects promises; a new kind of storage joins by one more parameter here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from launch_jobs.errors import NotFound, StoreError
from launch_jobs.names import sha256
from launch_jobs.store import Objects

HOSTILE = ["", "/", "/a", "a/", "a//b", "..", "a/..", "../a", "a/../../b", "./a", ".hidden", "a/.b", "a\0b", "a b", "é"]

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)

CALLS: dict[str, Callable[[Objects, str, Path], object]] = {
    "get": lambda objects, key, _: objects.get(key),
    "put_if_absent": lambda objects, key, _: objects.put_if_absent(key, b"x"),
    "create": lambda objects, key, _: objects.replace(key, b"x", expected=None),
    "replace": lambda objects, key, _: objects.replace(key, b"x", expected=b"y"),
    "upload": lambda objects, key, path: objects.upload(key, path),
    "download": lambda objects, key, path: objects.download(key, path.with_name("new")),
    "delete": lambda objects, key, _: objects.delete(key),
    "digest": lambda objects, key, _: objects.digest(key),
    "touch": lambda objects, key, _: objects.touch(key),
    "delete_older": lambda objects, key, _: objects.delete_older(key, NOW),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to upload."""
    path = tmp_path / "file"
    path.write_bytes(b"in a file\n")
    return path


def test_get_returns_what_was_put(objects: Objects) -> None:
    """An object is read back byte for byte."""
    assert objects.put_if_absent("a/b/c", b"\x00one\n")
    assert objects.get("a/b/c") == b"\x00one\n"


def test_put_if_absent_leaves_an_existing_object(objects: Objects) -> None:
    """The second writer is told that it did not write, and nothing changes."""
    objects.put_if_absent("a", b"one")
    assert not objects.put_if_absent("a", b"two")
    assert objects.get("a") == b"one"


def test_an_empty_object_exists(objects: Objects) -> None:
    """No bytes are content too."""
    assert objects.put_if_absent("a", b"")
    assert objects.get("a") == b""
    assert not objects.put_if_absent("a", b"two")


def test_get_of_a_missing_key(objects: Objects) -> None:
    """Reading what is not there says so."""
    with pytest.raises(NotFound, match="a/missing"):
        objects.get("a/missing")


def test_download_of_a_missing_key(objects: Objects, tmp_path: Path) -> None:
    """Downloading what is not there says so and makes no file."""
    with pytest.raises(NotFound):
        objects.download("a/missing", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_replace_creates_only_where_nothing_is(objects: Objects) -> None:
    """`expected=None` means absent."""
    assert objects.replace("a", b"one", expected=None)
    assert not objects.replace("a", b"two", expected=None)
    assert objects.get("a") == b"one"


def test_replace_needs_the_expected_content(objects: Objects) -> None:
    """A writer that saw something else does not write."""
    objects.put_if_absent("a", b"one")
    assert not objects.replace("a", b"three", expected=b"two")
    assert objects.replace("a", b"two", expected=b"one")
    assert objects.get("a") == b"two"


def test_replace_of_a_missing_object(objects: Objects) -> None:
    """What was deleted meanwhile is not brought back."""
    assert not objects.replace("a", b"two", expected=b"one")
    with pytest.raises(NotFound):
        objects.get("a")


def test_upload_and_download(objects: Objects, file: Path, tmp_path: Path) -> None:
    """A file goes in and comes out byte for byte."""
    objects.upload("a/file", file)
    objects.download("a/file", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"in a file\n"


def test_upload_leaves_an_existing_object(objects: Objects, file: Path) -> None:
    """Content-addressed keys are written once."""
    objects.put_if_absent("a/file", b"first")
    objects.upload("a/file", file)
    assert objects.get("a/file") == b"first"


def test_download_overwrites_nothing(objects: Objects, file: Path) -> None:
    """The target of a download is a new file."""
    objects.put_if_absent("a", b"one")
    with pytest.raises(FileExistsError):
        objects.download("a", file)
    assert file.read_bytes() == b"in a file\n"


def test_keys_are_sorted_as_text(objects: Objects) -> None:
    """The order is that of whole keys, not folder by folder (`a-b` comes before `a/b`)."""
    for key in ["p/a/b", "p/a-b", "p/B", "p/a/a", "p/a.c/d"]:
        objects.put_if_absent(key, b"")
    assert list(objects.keys("p/")) == sorted(["p/a/b", "p/a-b", "p/B", "p/a/a", "p/a.c/d"])


def test_keys_are_under_the_prefix_only(objects: Objects) -> None:
    """`ab/` is not under `a/`, and an unknown prefix has no keys."""
    objects.put_if_absent("a/x", b"")
    objects.put_if_absent("ab/x", b"")
    assert list(objects.keys("a/")) == ["a/x"]
    assert list(objects.keys("c/")) == []


def test_deleted_is_gone(objects: Objects) -> None:
    """After a delete the key is absent, and free again."""
    objects.put_if_absent("a/b", b"one")
    objects.delete("a/b")
    assert list(objects.keys("a/")) == []
    assert objects.put_if_absent("a/b", b"two")


def test_delete_of_a_missing_key(objects: Objects) -> None:
    """Deleting nothing is no error."""
    objects.delete("a/missing")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused(objects: Objects, file: Path, call: str, key: str) -> None:
    """No call takes a key that could name anything outside the store."""
    with pytest.raises(StoreError, match="cannot be a key"):
        CALLS[call](objects, key, file)


def test_entries_tell_size_and_age(objects: Objects) -> None:
    """A listing tells what a sweep and a check need, of one prefix or of everything."""
    for key in ["b/x", "a/x", "a-b"]:
        objects.put_if_absent(key, b"123")
    assert [(entry.key, entry.size) for entry in objects.entries()] == [("a-b", 3), ("a/x", 3), ("b/x", 3)]
    assert [entry.key for entry in objects.entries("a/")] == ["a/x"]
    (entry,) = objects.entries("b/")
    assert abs(datetime.now(UTC) - entry.modified) < HOUR


def test_nothing_has_no_entries(objects: Objects) -> None:
    """An empty storage lists nothing."""
    assert list(objects.entries()) == []
    assert objects.unfinished(datetime.now(UTC) + HOUR) == []


def test_digest_is_that_of_the_content(objects: Objects) -> None:
    """The digest is told without handing out the content; of nothing there is none."""
    objects.put_if_absent("a", b"content")
    assert objects.digest("a") == sha256(b"content")
    with pytest.raises(NotFound):
        objects.digest("b")


def test_old_is_what_nobody_wrote_since(objects: Objects) -> None:
    """Only an object older than the moment is removed; one that is not there is gone."""
    objects.put_if_absent("a", b"")
    assert not objects.delete_older("a", datetime.now(UTC) - HOUR)
    assert objects.get("a") == b""
    assert objects.delete_older("a", datetime.now(UTC) + HOUR)
    assert list(objects.entries()) == []
    assert objects.delete_older("a", datetime.now(UTC))


def test_touch_keeps_the_content(objects: Objects) -> None:
    """A touched object is what it was; nothing cannot be touched."""
    objects.put_if_absent("a", b"content")
    objects.touch("a")
    assert objects.get("a") == b"content"
    with pytest.raises(NotFound):
        objects.touch("b")
    assert [entry.key for entry in objects.entries()] == ["a"]


@pytest.mark.parametrize("prefix", ["../", "/", "a/../", ".hidden/"])
def test_hostile_prefixes_are_refused(objects: Objects, prefix: str) -> None:
    """Neither does a listing."""
    with pytest.raises(StoreError, match="cannot be a key"):
        list(objects.keys(prefix))


def test_one_of_many_writers_creates(objects: Objects) -> None:
    """Of 16 threads that put the same key exactly one wins, and its bytes are there."""

    def put(n: int) -> bool:
        return objects.put_if_absent("a/b", b"%d" % n)

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(put, range(16)))
    assert won.count(True) == 1
    assert objects.get("a/b") == b"%d" % won.index(True)


def test_no_update_is_lost(objects: Objects) -> None:
    """Eight threads that count by compare-and-set count every step."""
    objects.put_if_absent("n", b"0")

    def count(_: int) -> None:
        for _ in range(5):
            while not objects.replace("n", b"%d" % (int(seen := objects.get("n")) + 1), expected=seen):
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert objects.get("n") == b"40"
