"""What is different between two jobs, told completely and in the smallest words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launch_jobs.difference import LARGEST_TEXT, Change, Difference, Side, compare
from launch_jobs.job import (
    CaptureRecord,
    CodeSource,
    Dataset,
    Distribution,
    Entrypoint,
    Environment,
    Host,
    Inputs,
    Job,
    JobVersion,
    JsonObject,
    Option,
    TreeEntry,
    tree_digest,
)
from launch_jobs.names import sha256

HOST = Host(name="here", system="Linux", cpus=1)


def _job(**changes: object) -> Job:
    plain = Job(source=CodeSource(tree=sha256(b"")), entrypoint=Entrypoint(argv=("python", "train.py")))
    return plain.model_copy(update=changes)


def _side(files: Mapping[str, bytes] | None = None, values: JsonObject | None = None, **changes: object) -> Side:
    files = files or {}
    entries = {path: TreeEntry(path=path, mode="644", digest=sha256(data)) for path, data in files.items()}
    job = _job(source=CodeSource(tree=tree_digest(list(entries.values()))), **changes)
    record = CaptureRecord(run="r", parameters=values or {}, argv=(), exit_code=0, started="", duration_s=0, host=HOST)
    return Side(
        version=JobVersion(name="train", version=0, job=job, created=""),
        files=entries,
        read=lambda entry: files[entry.path],
        size=lambda entry: len(files[entry.path]),
        record=record if values is not None else None,
    )


def _lock(**versions: str) -> Environment:
    return Environment(
        python="3.11.7", distributions=tuple(Distribution(name=name, version=one) for name, one in versions.items())
    )


def test_a_job_has_no_difference_from_itself() -> None:
    """Nothing is listed, and it says that both are the same."""
    one = _side({"train.py": b"x\n"}, {"lr": 0.1})
    assert compare(one, one) == Difference(same=True)


def test_files_added_removed_and_changed() -> None:
    """Each differing file is there once, by path; equal files are not."""
    found = compare(_side({"a": b"1", "b": b"2", "same": b"3"}), _side({"b": b"4", "c": b"5", "same": b"3"})).files
    assert [(one.path, one.kind) for one in found] == [("a", "removed"), ("b", "changed"), ("c", "added")]
    assert [(one.before is None, one.after is None) for one in found] == [(False, True), (False, False), (True, False)]


def test_text_is_compared_by_lines() -> None:
    """A unified diff, as git writes it; a missing last line end is said."""
    (found,) = compare(_side({"a": b"one\ntwo\n"}), _side({"a": b"one\n2"})).files
    assert "\n".join(found.diff) == ("--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file")


@pytest.mark.parametrize("content", [b"a\0b", b"\xff\xfe", b"x\n" * LARGEST_TEXT], ids=["nul", "no UTF-8", "large"])
def test_what_is_no_small_text_is_told_by_size_and_digest(content: bytes) -> None:
    """Binary and very large files have no lines."""
    (found,) = compare(_side({"a": b"text\n"}), _side({"a": content})).files
    assert found.diff == ()
    assert found.after is not None
    assert (found.after.size, found.after.digest) == (len(content), sha256(content))


def test_a_changed_mode_alone_is_a_change() -> None:
    """The content is equal, so there are no lines."""
    after = _side({"a": b"x\n"})
    after = Side(after.version, {"a": after.files["a"].model_copy(update={"mode": "755"})}, after.read, after.size)
    (found,) = compare(_side({"a": b"x\n"}), after).files
    assert (found.kind, found.diff) == ("changed", ())


def test_distributions_by_name() -> None:
    """Added, removed and changed versions; the rest of the environment too."""
    found = compare(_side(environment=_lock(a="1", b="1")), _side(environment=_lock(b="2", c="1"))).environment
    assert {(one.name, one.before, one.after) for one in found} == {("a", "1", None), ("b", "1", "2"), ("c", None, "1")}
    (python,) = compare(_side(), _side(environment=Environment(python="3.12.0"))).environment
    assert python == Change(name="python", kind="added", after="3.12.0")


def test_parameters_by_name() -> None:
    """Schema, default and option of each; `True` is not `1`."""

    def inputs(default: bool | int) -> Inputs:
        schema: JsonObject = {"type": "object", "properties": {"n": {"default": default}}}
        return Inputs(parameters_schema=schema, options=(Option(name="n", flag="--n"),))

    (found,) = compare(_side(inputs=inputs(default=True)), _side(inputs=inputs(default=1))).parameters
    assert (found.name, found.kind) == ("n", "changed")
    assert compare(_side(inputs=inputs(default=1)), _side(inputs=inputs(default=1))).parameters == ()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"entrypoint": Entrypoint(argv=("python", "other.py"))}, "command"),
        ({"entrypoint": Entrypoint(argv=("python", "train.py"), directory="sub")}, "directory"),
        ({"dockerfile": "Dockerfile"}, "dockerfile"),
        ({"base_image": "tools"}, "base image"),
    ],
)
def test_the_rest_of_the_job(changes: dict[str, object], name: str) -> None:
    """Command, directory, Dockerfile and base image are each named alone."""
    assert [one.name for one in compare(_side(), _side(None, None, **changes)).job] == [name]


def test_captured_values_and_datasets() -> None:
    """The latest tracked run's values belong to the difference, though the job may be the same."""
    found = compare(_side(values={"lr": 0.1, "n": 1}), _side(values={"lr": 0.2, "n": 1}))
    assert (found.same, found.captured) == (True, (Change(name="lr", kind="changed", before=0.1, after=0.2),))
    (dataset,) = compare(_side(), _side(datasets=(Dataset(name="d", url="s3://b/d"),))).datasets
    assert dataset == Change(name="d", kind="added", after="s3://b/d")
