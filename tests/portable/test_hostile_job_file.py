"""Job files of strangers: whatever is wrong with one, nothing is kept, written elsewhere, or left behind."""

from __future__ import annotations

import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_files import Manifest, Parts, member, put_together, tar, tree_of, with_archive, with_manifest

from launch_jobs.errors import BadInput
from launch_jobs.job import Job, JobVersion
from launch_jobs.names import sha256
from launch_jobs.portable import import_job
from launch_jobs.store.jobs import JobStore
from launch_jobs.testing import MemoryObjects


def refused(file: Path, store: JobStore, words: str = "cannot be imported|no file") -> None:
    """The file is refused in one line that names it, and the store stays empty."""
    with pytest.raises(BadInput, match=words) as refusal:
        import_job(file, store)
    assert file.name in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert store.names() == []


def test_what_is_put_together_unchanged_is_taken(parts: Parts, store: JobStore, tmp_path: Path) -> None:
    """So that the refusals below are for what each of them changes."""
    tree = parts[next(name for name in parts if name.startswith("blobs/"))]
    assert import_job(put_together(tmp_path / "stranger", parts), store).new
    assert not import_job(put_together(tmp_path / "stranger", with_archive(parts, tree)), store).new


MANIFESTS: list[tuple[Callable[[Manifest], object], str]] = [
    (lambda m: m.update(schema_version=2), "newer Launch Jobs"),
    (lambda m: m["job"].update(schema_version=2), "newer Launch Jobs"),
    (lambda m: m.update(kind="other"), "kind"),
    (lambda m: m.update(later=1), "later"),
    (lambda m: m.pop("job"), "job"),
    (lambda m: m.update(name="../../x"), "cannot name a job"),
    (lambda m: m.update(digest=sha256(b"other")), "its job is sha256"),
    (lambda m: m["job"]["entrypoint"].update(argv=["evil"]), "its job is sha256"),
    (lambda m: m["origin"].update(archive=None), "not one archive"),
    (lambda m: m["origin"].update(bundle=m["origin"]["archive"]), "not one archive"),
    (lambda m: m["origin"].update(archive=sha256(b"other")), "other than a source"),
    (lambda m: m["members"].clear(), "other members"),
    (lambda m: m["members"]["records/run-1.json"].update(size=0), "not the record"),
    (lambda m: m["members"]["records/run-1.json"].update(digest=sha256(b"")), "not the record"),
    (lambda m: next(iter(m["members"].values())).update(size=0), "not what was written"),
    (lambda m: next(iter(m["members"].values())).update(digest=sha256(b"")), "not what was written"),
]


@pytest.mark.parametrize(("change", "words"), MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_that_says_something_else(
    parts: Parts, store: JobStore, tmp_path: Path, change: Callable[[Manifest], object], words: str
) -> None:
    """Schema, names, digests and sizes are all checked."""

    def apply(manifest: Manifest) -> None:
        change(manifest)

    refused(put_together(tmp_path / "stranger", with_manifest(parts, apply)), store, words)


DOCUMENTS = [
    (b"", "JSON|EOF"),
    (b"{}", "name"),
    (b"[]", "dictionary|object"),
    (b"\xff", "cannot be imported"),
    (b"[" * 100_000, "recursion"),
    (b" " * (65 << 20), "larger than"),
]


@pytest.mark.parametrize(("content", "words"), DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_a_manifest_that_is_none(parts: Parts, store: JobStore, tmp_path: Path, content: bytes, words: str) -> None:
    """Empty, foreign, too deep, too long."""
    refused(put_together(tmp_path / "stranger", {**parts, "launch-job.json": content}), store, words)


@pytest.mark.parametrize("name", ["../evil", "/evil", "blobs/../../evil", "a\\evil", "evil/", "evil", "x" * 70_000])
def test_members_beside_those_listed(parts: Parts, store: JobStore, tmp_path: Path, temporary: Path, name: str) -> None:
    """Wherever a name would lead, nothing is written there; it may not even be in the file, listed or not."""
    del temporary
    if len(name) < 70_000:
        refused(put_together(tmp_path / "stranger", {**parts, name: b"x"}), store)

    def change(manifest: Manifest) -> None:
        manifest["members"][name] = {"digest": sha256(b"x"), "size": 1}

    listed = {**with_manifest(parts, change), name[:60_000]: b"x"}
    refused(put_together(tmp_path / "stranger", listed), store)
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_a_record_of_another_run(parts: Parts, store: JobStore, tmp_path: Path) -> None:
    """A record lies under its own run's name, which must be one."""
    record = json.loads(parts["records/run-1.json"]) | {"run": "../run"}
    content = json.dumps(record).encode()

    def change(manifest: Manifest) -> None:
        manifest["members"]["records/run-1.json"] = {"digest": sha256(content), "size": len(content)}

    refused(put_together(tmp_path / "stranger", with_manifest({**parts, "records/run-1.json": content}, change)), store)


def _compressed(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED


def _link(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o120777 << 16


@pytest.mark.parametrize("change", [_compressed, _link])
def test_members_that_are_no_plain_stored_files(
    parts: Parts, store: JobStore, tmp_path: Path, change: Callable[[zipfile.ZipInfo], None]
) -> None:
    """Without compression there is no bomb; links are no members."""
    with zipfile.ZipFile(tmp_path / "stranger", "w") as opened:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name)
            change(info)
            opened.writestr(info, content)
    refused(tmp_path / "stranger", store, "no plain stored file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(parts: Parts, store: JobStore, tmp_path: Path) -> None:
    """Which of the two would count is never asked."""
    with zipfile.ZipFile(put_together(tmp_path / "stranger", parts), "a") as opened:
        opened.writestr("launch-job.json", b"{}")
    refused(tmp_path / "stranger", store, "twice")


def test_members_that_claim_more_than_the_file_has(parts: Parts, store: JobStore, tmp_path: Path) -> None:
    """Overlapping members are how a small file becomes a large one."""
    file = put_together(tmp_path / "stranger", {**parts, "evil": b"y" * 1000})
    data = bytearray(file.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 20 : at + 28] = b"\xff\xff\xff\x7f" * 2  # its two sizes
    file.write_bytes(data)
    refused(file, store, "larger than the file")


def test_a_list_of_members_that_is_too_long(store: JobStore, tmp_path: Path) -> None:
    """A file that is mostly a list of members would fill the memory before anything of it is looked at."""
    size = 40 << 20
    with (tmp_path / "stranger").open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    refused(tmp_path / "stranger", store, "too long")


FOREIGN, BELOW = "which no snapshot writes", "below a link"
SOURCES: dict[str, tuple[bytes, str]] = {
    "no tar": (b"no tar", "cannot be imported"),
    "truncated": (tar(member("a"), content=b"x" * 2000)[:1024], "cannot be imported"),
    "up": (tar(member("../evil")), FOREIGN),
    "up inside": (tar(member("a/../../evil")), FOREIGN),
    "absolute": (tar(member("/evil")), FOREIGN),
    "hard link": (tar(member("a"), member("evil", tarfile.LNKTYPE, "/etc/passwd")), FOREIGN),
    "device": (tar(member("evil", tarfile.CHRTYPE)), FOREIGN),
    "pipe": (tar(member("evil", tarfile.FIFOTYPE)), FOREIGN),
    "folder": (tar(member("evil", tarfile.DIRTYPE)), FOREIGN),
    "through a link": (tar(member("a", tarfile.SYMTYPE, ".."), member("a/evil")), BELOW),
    "file before its link": (tar(member("a/evil"), member("a", tarfile.SYMTYPE, "..")), BELOW),
    "a link through links": (
        tar(
            member("a/b", tarfile.SYMTYPE, ".."),
            member("a/b/c/e", tarfile.SYMTYPE, "../../.."),
            member("c/e/evil", tarfile.SYMTYPE, "x"),
        ),
        BELOW,
    ),
    "twice": (tar(member("a"), member("a")), "exists"),
    "file and folder": (tar(member("a"), member("a/evil")), "exists|Not a directory"),
    "long name": (tar(member("evil" * 1000)), "too long"),
    "long path": (tar(member("/".join(["evil"] * 2000))), "too long"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_that_no_snapshot_writes(
    parts: Parts, store: JobStore, tmp_path: Path, temporary: Path, source: str
) -> None:
    """However consistent the rest is made: no path outside is written, no link followed, nothing left."""
    archive, words = SOURCES[source]
    refused(put_together(tmp_path / "stranger", with_archive(parts, archive)), store, words)
    assert list(temporary.iterdir()) == []
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_a_sparse_bomb(parts: Parts, store: JobStore, tmp_path: Path, temporary: Path) -> None:
    """A few bytes that unpack to a terabyte of nothing."""
    bomb = member("evil")
    bomb.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(1 << 40)}
    bomb.pax_headers["GNU.sparse.map"] = f"{(1 << 40) - 1},1"
    refused(put_together(tmp_path / "stranger", with_archive(parts, tar(bomb))), store, "no snapshot writes")
    assert list(temporary.iterdir()) == []


def test_a_source_that_is_another_one(parts: Parts, store: JobStore, tmp_path: Path) -> None:
    """The tree must be the job's; an outside link alone, which git can keep, is taken when it is."""
    archive = tar(member("link", tarfile.SYMTYPE, "/etc"))
    refused(put_together(tmp_path / "stranger", with_archive(parts, archive)), store, "its source is not")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("/etc")
    whole = with_archive(parts, archive, tree_of(tmp_path / "tree"))
    assert import_job(put_together(tmp_path / "stranger", whole), store).new

    def as_code(manifest: Manifest) -> None:
        source = manifest["job"]["source"]
        manifest["job"]["source"] = {"type": "code", "tree": source["tree"]}
        manifest["digest"] = Job.model_validate(manifest["job"]).digest

    with pytest.raises(BadInput, match="outside its tree"):
        import_job(put_together(tmp_path / "stranger", with_manifest(whole, as_code)), store)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + b"\xff" * 18])
def test_a_file_that_is_no_zip(store: JobStore, tmp_path: Path, content: bytes) -> None:
    """So too a path at which nothing is, and one that would never end."""
    (tmp_path / "stranger").write_bytes(content)
    refused(tmp_path / "stranger", store)
    refused(tmp_path / "nothing", store)
    refused(Path("/dev/zero"), store)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_changed_or_lost(elsewhere: tuple[JobVersion, Path], tmp_path: Path, data: st.DataObject) -> None:
    """A damaged file is refused, or it was a byte that means nothing, and the job is the same."""
    content = bytearray(elsewhere[1].read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[where] ^= data.draw(st.integers(1, 255))
    else:
        del content[where:]
    (tmp_path / "stranger").write_bytes(content)
    store = JobStore(MemoryObjects())
    try:
        version = import_job(tmp_path / "stranger", store).version
    except BadInput:
        assert store.names() == []
        return
    assert (version.name, version.digest) == ("train", elsewhere[0].digest)
    assert store.records(version)[0].parameters == {"lr": 0.1}
