"""What real programs read and write beside their source, as the tracker saw it: files, databases, S3 objects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from infrastructure.plugin import Bucket

from launch_jobs.capture import run_tracked
from launch_jobs.capture.inputs_seen import proposal, undeclared
from launch_jobs.job import CaptureRecord, Dataset, SeenData
from launch_jobs.names import sha256
from launch_jobs.store.jobs import open_store

Run = Callable[[str], CaptureRecord]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program, tracked, in a project whose folder `data` is ignored; its record."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "train.csv").write_bytes(b"x,y\n1,2\n")
    (project / ".launchignore").write_text("data\n")
    (project / "settings.json").write_text("{}")
    (tmp_path / "user" / ".aws").mkdir(parents=True)
    (tmp_path / "user" / ".aws" / "credentials").write_text("[other]\naws_access_key_id = x\n")

    def tracked(text: str) -> CaptureRecord:
        (project / "main.py").write_text(text)
        store = open_store((tmp_path / "store").as_uri())
        ended = run_tracked([sys.executable, "main.py"], store=store, directory=project)
        assert (ended.exit_code, ended.problem) == (0, None)
        assert ended.record is not None
        return ended.record

    return tracked


def paths(seen: tuple[SeenData, ...]) -> set[str]:
    """Where the data is."""
    return {one.path for one in seen}


def test_files_read_and_written_are_proposed_with_size_and_digest(run: Run, tmp_path: Path) -> None:
    """Also outside the source; not the source itself, the system, nor what the run wrote and read again."""
    (tmp_path / "outside.bin").write_bytes(b"outside")
    record = run(f"""
import os
for path in ("data/train.csv", {str(tmp_path / "outside.bin")!r}, "settings.json", "/etc/hosts"): open(path).read()
open("data/mine", "w").write("m"); open("data/mine").read()
open({str(tmp_path / "left.bin")!r}, "wb").write(b"left"); open("data/gone", "w").close(); os.remove("data/gone")
""")
    assert {one.path: (one.size, one.digest) for one in record.read} == {
        "data/train.csv": (8, sha256(b"x,y\n1,2\n")),
        str(tmp_path / "outside.bin"): (7, sha256(b"outside")),
    }
    assert paths(record.written) == {"data/mine", str(tmp_path / "left.bin")}


def test_a_secret_is_named_and_nothing_of_it_kept(run: Run) -> None:
    """Its path is in a note; neither digest nor size of it is anywhere."""
    record = run("import os; open(os.path.expanduser('~/.aws/credentials')).read()")
    assert record.read == ()
    assert any(".aws/credentials" in note for note in record.notes)


def test_a_large_file_is_sampled(run: Run, tmp_path: Path) -> None:
    """What cannot be hashed at once has no digest, and says so by its sample."""
    large = tmp_path / "project" / "data" / "large"
    with large.open("wb") as file:
        file.truncate((256 << 20) + 1)
    record = run("open('data/large', 'rb').read(10)")
    assert [(one.path, one.size, one.digest) for one in record.read] == [("data/large", (256 << 20) + 1, None)]
    assert record.read[0].sample is not None


def test_a_database_that_was_only_read_is_an_input(run: Run) -> None:
    """sqlite opens it for writing; its content tells."""
    made = run("import sqlite3; d = sqlite3.connect('data/a.db'); d.execute('create table t(x)'); d.commit()")
    assert paths(made.written) == {"data/a.db"}
    record = run("import sqlite3; sqlite3.connect('data/a.db').execute('select * from t')")
    assert (paths(record.read), paths(record.written)) == ({"data/a.db"}, set())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["data/train.csv"], ("train", "data/train.csv")),
        (["/mnt/2024 x.csv"], ("_2024_x", "/mnt/2024 x.csv")),
        ([f"data/images/{number}.png" for number in range(9)], ("images", "data/images")),
        ([f"s3://b/part/{number}" for number in range(9)], ("part", "s3://b/part/")),
        ([], None),
    ],
)
def test_one_declaration_is_proposed(given: list[str], expected: tuple[str, str] | None) -> None:
    """The largest input, or the folder of many; a name that a dataset can have."""
    assert proposal([SeenData(path=path) for path in given], ".") == expected


def test_what_is_declared_is_not_proposed() -> None:
    """A file in a declared folder, an object below a declared prefix."""
    read = [SeenData(path=path) for path in ("data/a", "data2/a", "/mnt/a/b", "s3://b/p/x", "s3://b/q")]
    urls = ("file:data", "file:/mnt/a", "s3://b/p/", "outputs://r/1")
    left = undeclared(read, [Dataset(name="d", url=url) for url in urls])
    assert [one.path for one in left] == ["data2/a", "s3://b/q"]


S3 = """
import boto3, io
from boto3.s3.transfer import TransferConfig
client = boto3.client("s3")
small = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
print(client.get_object(Bucket={bucket!r}, Key="a")["Body"].read())
client.download_file({bucket!r}, "large", "data/large", Config=small)
client.upload_fileobj(io.BytesIO(bytes(6 << 20)), {bucket!r}, "out/model", Config=small)
client.put_object(Bucket={bucket!r}, Key="out/metrics", Body=b"1")
try:
    client.get_object(Bucket={bucket!r}, Key="nothing")
except client.exceptions.NoSuchKey:
    print("no key")
"""


def test_s3_objects_are_told_with_etag_and_size(run: Run, s3: Bucket, capfd: pytest.CaptureFixture[str]) -> None:
    """What boto3 reads, in parts too, and what it uploads; what is not there is not told."""
    tag = s3.client.put_object(Bucket=s3.name, Key="a", Body=b"aaa")["ETag"]
    s3.client.put_object(Bucket=s3.name, Key="large", Body=bytes(6 << 20))
    record = run(S3.format(bucket=s3.name))
    assert "no key" in capfd.readouterr().out
    objects = {one.path.removeprefix(f"s3://{s3.name}/"): one for one in record.read if one.path.startswith("s3://")}
    assert {name: one.size for name, one in objects.items()} == {"a": 3, "large": 6 << 20}
    assert (objects["a"].version, objects["a"].endpoint) == (f"etag:{tag}", s3.endpoint)
    assert {f"s3://{s3.name}/out/model", f"s3://{s3.name}/out/metrics"} <= paths(record.written)


def test_a_file_that_is_open_at_the_end_was_read_though_python_did_not_open_it(run: Run, tmp_path: Path) -> None:
    """A library in C has its own way to open files."""
    (tmp_path / "outside.h5").write_bytes(b"outside")
    (tmp_path / "train.log").write_text("a log that is only written, as the shell's > leaves it open")
    record = run(
        f"import ctypes; assert ctypes.CDLL(None).open({str(tmp_path / 'outside.h5').encode()!r}, 0) > 0\n"
        f"assert ctypes.CDLL(None).open({str(tmp_path / 'train.log').encode()!r}, 1) > 0"
    )
    assert paths(record.read) == {str(tmp_path / "outside.h5")}
