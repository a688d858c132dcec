"""What the job store promises to whoever captures, submits and runs, over every kind of storage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from store_samples import RUN, make_job, make_outcome, make_record

from launch_jobs.errors import BadInput, NotFound, StoreConflict, StoreError
from launch_jobs.job import CaptureRecord, Origin
from launch_jobs.names import JobRef, canonical_json, sha256
from launch_jobs.run import OutputFile
from launch_jobs.store import Objects, keys
from launch_jobs.store.jobs import JobStore
from launch_jobs.testing import MemoryObjects


@pytest.fixture
def store(objects: Objects) -> JobStore:
    """An empty store."""
    return JobStore(objects)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to keep."""
    path = tmp_path / "file"
    path.write_bytes(b"content\r\n\x00")
    return path


def add(store: JobStore, *words: str) -> list[str]:
    """Add jobs named `digits`; the labels they got."""
    return [store.add("digits", make_job(word), Origin()).label for word in words]


def resolve(store: JobStore, text: str) -> str:
    """The label that a reference means."""
    return store.resolve(JobRef.parse(text)).label


def flip(objects: Objects, key: str) -> None:
    """Change one byte in the middle of an object."""
    data = bytearray(objects.get(key))
    data[len(data) // 2] ^= 1
    assert objects.replace(key, bytes(data), expected=objects.get(key))


def test_versions_count_from_zero(store: JobStore) -> None:
    """Each new content is the next version."""
    assert add(store, "one", "two", "three") == ["digits:v0", "digits:v1", "digits:v2"]


def test_numbers_tell_damaged_versions_too(store: JobStore, objects: Objects) -> None:
    """The numbers are had without reading, so that one damaged version does not hide the others."""
    add(store, "one", "two")
    flip(objects, keys.version("digits", 0))
    assert store.numbers("digits") == [0, 1]


def test_same_content_is_the_same_version(store: JobStore) -> None:
    """Adding content again finds its version and makes none."""
    assert add(store, "one", "two", "one") == ["digits:v0", "digits:v1", "digits:v0"]
    assert [version.label for version in store.versions("digits")] == ["digits:v0", "digits:v1"]


def test_the_first_origin_stays(store: JobStore) -> None:
    """A version is never changed, not even by another origin of the same content."""
    store.add("digits", make_job(), Origin(remote="https://first"))
    assert store.add("digits", make_job(), Origin(remote="https://second")).origin.remote == "https://first"


def test_latest_is_what_was_captured_last(store: JobStore) -> None:
    """Capturing old content again makes it the latest."""
    add(store, "one", "two")
    assert resolve(store, "digits") == "digits:v1"
    add(store, "one")
    assert resolve(store, "digits:latest") == "digits:v0"


def test_names_do_not_mix(store: JobStore) -> None:
    """Versions, digests and aliases belong to one name, also where one name begins with the other."""
    store.add("a", make_job("one"), Origin())
    assert store.add("a-b", make_job("one"), Origin()).label == "a-b:v0"
    assert store.add("a.b", make_job("two"), Origin()).label == "a.b:v0"
    assert store.names() == ["a", "a-b", "a.b"]


def test_every_form_of_reference(store: JobStore) -> None:
    """A version, an alias and a digest mean the same version."""
    version = store.add("digits", make_job(), Origin())
    store.set_alias("digits", "best", 0)
    for text in ["digits", "digits:v0", "digits:latest", "digits:best", version.reference]:
        assert store.resolve(JobRef.parse(text)) == version


def test_an_unknown_job_names_the_nearest(store: JobStore) -> None:
    """A misspelt job is answered with what was probably meant."""
    add(store, "one")
    with pytest.raises(NotFound, match=r"no job 'digit'.*digits"):
        resolve(store, "digit")


def test_an_unknown_job_in_an_empty_store(store: JobStore) -> None:
    """A store without jobs says so."""
    with pytest.raises(NotFound, match="no job yet"):
        resolve(store, "digits")


@pytest.mark.parametrize("selector", [":v2", ":bets", "@sha256:" + "0" * 64])
def test_an_unknown_version_names_what_there_is(store: JobStore, selector: str) -> None:
    """A version, alias or digest that is not there is answered with the versions and aliases."""
    add(store, "one", "two")
    store.set_alias("digits", "best", 0)
    with pytest.raises(NotFound, match=r"v0 to v1 .*best"):
        resolve(store, "digits" + selector)


def test_an_unknown_name_has_no_versions(store: JobStore) -> None:
    """Listing what is not there is empty."""
    assert (store.versions("none"), store.aliases("none"), store.names()) == ([], {}, [])


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "a\0", "x" * 64, "-a", "é"])
def test_names_that_are_none(store: JobStore, name: str) -> None:
    """A name that is no name never reaches the storage."""
    with pytest.raises(BadInput, match="cannot name a job"):
        store.add(name, make_job(), Origin())
    with pytest.raises(BadInput, match="cannot name a job"):
        store.resolve(JobRef(name))
    assert store.names() == []


def test_a_job_without_json_form_is_bad_input(store: JobStore) -> None:
    """A default that is not a number is refused in one line, and nothing is kept."""
    record = make_record("run-1").model_copy(update={"parameters": {"lr": float("nan")}})
    version = store.add("digits", make_job(), Origin())
    with pytest.raises(BadInput, match="run-1"):
        store.add_record(version, record)
    assert store.records(version) == []


def test_aliases_move(store: JobStore) -> None:
    """An alias means what it was set to last."""
    add(store, "one", "two")
    store.set_alias("digits", "best", 0)
    store.set_alias("digits", "best", 1, expected=0)
    assert store.aliases("digits") == {"latest": 1, "best": 1}


def test_an_alias_that_means_something_else_now(store: JobStore) -> None:
    """Who expected another version loses, and the alias stays."""
    add(store, "one", "two")
    store.set_alias("digits", "best", 0)
    with pytest.raises(StoreConflict, match="digits:best"):
        store.set_alias("digits", "best", 1, expected=1)
    with pytest.raises(StoreConflict, match="digits:new"):
        store.set_alias("digits", "new", 1, expected=1)
    assert store.aliases("digits") == {"latest": 1, "best": 0}


def test_an_alias_of_no_version(store: JobStore) -> None:
    """An alias cannot mean what is not there."""
    add(store, "one")
    with pytest.raises(NotFound, match="v1"):
        store.set_alias("digits", "best", 1)
    assert store.aliases("digits") == {"latest": 0}


@pytest.mark.parametrize("alias", ["v3", "V", "a/b", ""])
def test_aliases_that_are_none(store: JobStore, alias: str) -> None:
    """An alias is a name, and does not read as a version."""
    add(store, "one")
    with pytest.raises(BadInput, match="alias"):
        store.set_alias("digits", alias, 0)


def test_an_alias_to_a_lost_version(store: JobStore, objects: Objects) -> None:
    """An alias whose version vanished is told as such, with what to do."""
    add(store, "one", "two")
    objects.delete(keys.version("digits", 1))
    with pytest.raises(StoreError, match=r"alias digits:latest means v1.*Set it again"):
        resolve(store, "digits")


def test_a_damaged_alias_is_mended_by_setting_it(store: JobStore, objects: Objects) -> None:
    """What cannot be read can be written anew; until then it is refused."""
    add(store, "one")
    flip(objects, keys.alias("digits", "latest"))
    with pytest.raises(StoreError, match="aliases/digits/latest"):
        resolve(store, "digits")
    add(store, "one")
    assert resolve(store, "digits") == "digits:v0"


def test_a_damaged_version_spoils_no_other(store: JobStore, objects: Objects) -> None:
    """One damaged version is refused by name; the others are read, and new ones are added."""
    add(store, "one", "two")
    flip(objects, keys.version("digits", 0))
    with pytest.raises(StoreError, match="versions/digits/v0"):
        resolve(store, "digits:v0")
    assert resolve(store, "digits:v1") == "digits:v1"
    assert add(store, "two", "three") == ["digits:v1", "digits:v2"]


def test_a_version_under_another_number(store: JobStore, objects: Objects) -> None:
    """A copy of a whole version in another's place is refused."""
    add(store, "one")
    objects.put_if_absent(keys.version("digits", 1), objects.get(keys.version("digits", 0)))
    with pytest.raises(StoreError, match="versions/digits/v1"):
        resolve(store, "digits:v1")


def test_a_version_whose_job_is_another(store: JobStore, objects: Objects) -> None:
    """A document with a right sum, but another job than its digest says, is refused."""
    add(store, "one")
    key = keys.version("digits", 0)
    before = objects.get(key)
    content = canonical_json(json.loads(before)["content"]).replace(b'"one"', b'"evil"')
    forged = b'{"content":%s,"sha256":"%s"}\n' % (content, sha256(content).encode())
    assert objects.replace(key, forged, expected=before)
    with pytest.raises(StoreError, match="not the one it was written for"):
        resolve(store, "digits:v0")


def test_a_job_of_a_newer_schema(store: JobStore, objects: Objects) -> None:
    """A job that a later Launch Jobs wrote asks for an upgrade."""
    add(store, "one")
    key = keys.version("digits", 0)
    before = objects.get(key)
    document = json.loads(before)["content"]
    document["data"]["version"]["job"]["schema_version"] = 2
    content = canonical_json(document)
    objects.replace(key, b'{"content":%s,"sha256":"%s"}\n' % (content, sha256(content).encode()), expected=before)
    with pytest.raises(StoreError, match=r"newer Launch Jobs.*Upgrade"):
        resolve(store, "digits:v0")


def test_lost_and_wrong_marks_mislead_nobody(store: JobStore, objects: Objects) -> None:
    """The marks that speed up finding a digest may be lost: no content gets a second version."""
    add(store, "one", "two")
    for key in list(objects.keys("digests/digits/")):
        objects.delete(key)
    objects.put_if_absent(keys.digest_mark("digits", make_job("three").digest, 7), b"")
    assert add(store, "two", "one", "three") == ["digits:v1", "digits:v0", "digits:v2"]


def test_strangers_among_the_versions(store: JobStore, objects: Objects) -> None:
    """Files that are not ours are neither versions nor in the way."""
    for stranger in ["versions/digits/v01", "versions/digits/v0-old", "versions/README", "versions/x/README"]:
        objects.put_if_absent(stranger, b"?")
    assert add(store, "one") == ["digits:v0"]
    assert store.names() == ["digits"]


def test_an_unreadable_next_version_ends_the_search(store: JobStore, objects: Objects) -> None:
    """Garbage in the next version's place is an error, not an endless loop."""
    objects.put_if_absent(keys.version("digits", 0), b"garbage")
    with pytest.raises(StoreError, match="versions/digits/v0"):
        add(store, "one")


def test_records_are_kept_oldest_first(store: JobStore) -> None:
    """All records of a version come in the order their runs started."""
    version = store.add("digits", make_job(), Origin())
    given = [make_record("run-b", "2026-01-02"), make_record("run-c", "2026-01-01"), make_record("run-a", "2026-01-02")]
    for record in given:
        store.add_record(version, record)
    assert [record.run for record in store.records(version)] == ["run-c", "run-a", "run-b"]


def test_records_belong_to_one_version(store: JobStore) -> None:
    """v1 and v10 do not mix."""
    versions = [store.add("digits", make_job(str(n)), Origin()) for n in range(11)]
    store.add_record(versions[10], make_record("run-1"))
    assert store.records(versions[1]) == []


def test_a_record_is_written_once(store: JobStore) -> None:
    """A second record of the same run changes nothing."""
    version = store.add("digits", make_job(), Origin())
    first: CaptureRecord = make_record("run-1")
    store.add_record(version, first)
    store.add_record(version, first.model_copy(update={"exit_code": 3}))
    assert store.records(version) == [first]


def test_an_outcome_is_written_once(store: JobStore) -> None:
    """The second writer is given the first one's outcome."""
    first = store.put_outcome(make_outcome(message="first"))
    assert store.put_outcome(make_outcome(message="second")) == first
    assert store.outcome(RUN, 1) == first


def test_the_latest_attempt_counts(store: JobStore) -> None:
    """Without a number the outcome is that of the highest attempt, by number and not by text."""
    for attempt in (2, 10, 9):
        store.put_outcome(make_outcome(attempt))
    latest, missing = store.outcome(RUN), store.outcome(RUN, 1)
    assert latest is not None
    assert latest.attempt == 10
    assert missing is None


def test_no_outcome_yet(store: JobStore) -> None:
    """A run that has not ended has none."""
    assert store.outcome(RUN) is None


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a\0b"])
def test_outputs_that_would_leave_their_folder(store: JobStore, file: Path, path: str) -> None:
    """An outcome or output with such a path is refused before anything is written."""
    output = OutputFile(path=path, size=1, digest=sha256(file.read_bytes()))
    with pytest.raises(BadInput, match="relative path"):
        store.put_outcome(make_outcome(outputs=(output,)))
    with pytest.raises(BadInput, match="relative path"):
        store.put_output(RUN, 1, output, file)
    assert store.outcome(RUN) is None


def test_outputs_with_one_path_twice(store: JobStore) -> None:
    """Two outputs cannot have the same path."""
    output = OutputFile(path="a", size=1, digest=sha256(b"x"))
    with pytest.raises(BadInput, match="twice"):
        store.put_outcome(make_outcome(outputs=(output, output)))


def test_an_output_comes_home(store: JobStore, file: Path, tmp_path: Path) -> None:
    """An output is fetched byte for byte, into folders made as needed."""
    output = OutputFile(path="dir with space/é\\.bin", size=10, digest=sha256(file.read_bytes()))
    store.put_output(RUN, 1, output, file)
    store.get_output(RUN, 1, output, tmp_path / "new" / "out")
    assert (tmp_path / "new" / "out").read_bytes() == file.read_bytes()


def test_an_output_that_is_not_what_was_listed(store: JobStore, file: Path, objects: Objects) -> None:
    """A file that changed since it was listed is not kept."""
    with pytest.raises(StoreError, match="changed"):
        store.put_output(RUN, 1, OutputFile(path="a", size=1, digest=sha256(b"listed")), file)
    assert list(objects.keys("files/")) == []


def test_outputs_of_attempts_are_apart(store: JobStore, file: Path, tmp_path: Path) -> None:
    """Another attempt's output is not this one's."""
    output = OutputFile(path="a", size=10, digest=sha256(file.read_bytes()))
    store.put_output(RUN, 1, output, file)
    with pytest.raises(StoreError, match="missing"):
        store.get_output(RUN, 2, output, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_log_may_grow(store: JobStore, tmp_path: Path) -> None:
    """A later, longer log replaces the earlier one."""
    log, read = tmp_path / "log", tmp_path / "read"
    for text in ("one\n", "one\ntwo\n"):
        log.write_text(text)
        store.put_log(RUN, 1, log)
    assert store.get_log(RUN, 1, read)
    assert read.read_text() == "one\ntwo\n"


def test_no_log(store: JobStore, tmp_path: Path) -> None:
    """An attempt without a log gives none, and no file."""
    assert not store.get_log(RUN, 1, tmp_path / "read")
    assert not (tmp_path / "read").exists()


@pytest.mark.parametrize("run", ["", "..", "../x", "a/b"])
def test_run_ids_that_are_none(store: JobStore, run: str) -> None:
    """A run id that is no name never reaches the storage."""
    with pytest.raises(BadInput, match="cannot name a run"):
        store.outcome(run)


def test_attempts_count_from_one(store: JobStore, file: Path) -> None:
    """There is no attempt 0."""
    with pytest.raises(BadInput, match="count from 1"):
        store.put_log(RUN, 0, file)


def test_a_blob_from_bytes_and_from_a_file_is_one(store: JobStore, file: Path, objects: Objects) -> None:
    """The same content is kept once."""
    assert store.put_blob(file) == store.put_bytes(file.read_bytes())
    assert len(list(objects.keys("blobs/"))) == 1


def test_blobs_fan_out(store: JobStore, objects: Objects) -> None:
    """A blob lies in a folder named by its first two digits."""
    digits = store.put_bytes(b"x").removeprefix("sha256:")
    assert list(objects.keys("blobs/")) == [f"blobs/{digits[:2]}/{digits}"]


def test_a_missing_blob(store: JobStore, tmp_path: Path) -> None:
    """A blob that is not there is a damaged store, and no file appears."""
    with pytest.raises(StoreError, match="missing"):
        store.get_blob(sha256(b"none"), tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_a_damaged_blob_leaves_what_was_there(store: JobStore, objects: Objects, tmp_path: Path) -> None:
    """A blob that changed in the store is refused, the file that it would replace stays, and no part is left."""
    digest = store.put_bytes(b"content")
    flip(objects, keys.blob(digest))
    into = tmp_path / "folder" / "out"
    into.parent.mkdir()
    into.write_text("before")
    with pytest.raises(StoreError, match="damaged"):
        store.get_blob(digest, into)
    assert [(path.name, path.read_text()) for path in into.parent.iterdir()] == [("out", "before")]


@pytest.mark.parametrize("digest", ["", "sha256:x", "md5:" + "0" * 32, "sha256:" + "A" * 64, "../../etc/passwd"])
def test_digests_that_are_none(store: JobStore, tmp_path: Path, digest: str) -> None:
    """What is no digest never reaches the storage."""
    with pytest.raises(BadInput, match="no digest"):
        store.get_blob(digest, tmp_path / "out")


def test_a_file_that_cannot_be_read(store: JobStore, tmp_path: Path) -> None:
    """A missing file is one line that names it."""
    with pytest.raises(StoreError, match="no-such-file"):
        store.put_blob(tmp_path / "no-such-file")


def test_a_target_that_cannot_be_written(store: JobStore, file: Path) -> None:
    """A target below a file is one line that names it."""
    digest = store.put_bytes(b"content")
    with pytest.raises(StoreError, match="file/out"):
        store.get_blob(digest, file / "out")


class Changing(MemoryObjects):
    """A storage during whose upload the user's file changes."""

    def upload(self, key: str, path: Path) -> None:
        """Change the file, then keep it."""
        path.write_bytes(b"changed meanwhile")
        super().upload(key, path)


def test_a_file_that_changes_while_it_is_stored(file: Path) -> None:
    """Content under a wrong digest does not stay in the store, where it would stand in the right one's way."""
    objects = Changing()
    with pytest.raises(StoreError, match="changed while"):
        JobStore(objects).put_blob(file)
    assert list(objects.keys("blobs/")) == []


def test_a_file_that_changes_does_not_harm_the_kept_one(file: Path, tmp_path: Path) -> None:
    """The right content that was there before stays."""
    objects, content = Changing(), file.read_bytes()
    digest = JobStore(objects).put_bytes(content)
    with pytest.raises(StoreError, match="changed while"):
        JobStore(objects).put_blob(file)
    JobStore(objects).get_blob(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
