"""A document that is not exactly what was written is refused, by name and with what to do."""

from __future__ import annotations

import json
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from store_samples import make_record

from launch_jobs.errors import BadInput, StoreError
from launch_jobs.job import CaptureRecord, Frozen
from launch_jobs.names import canonical_json, sha256
from launch_jobs.run import Outcome, Reason, Stopped
from launch_jobs.store import envelope
from launch_jobs.store.attempts import read_outcome
from launch_jobs.store.envelope import seal, unseal

KEY = "records/digits/v0/run-1"
DOCUMENT = seal(KEY, make_record("run-1"))


class Anything(Frozen):
    """A document that may hold any JSON."""

    value: JsonValue


def framed(content: bytes) -> bytes:
    """A document whose sum is right, as an attacker who knows the format would write it."""
    return b'{"content":%s,"sha256":"%s"}\n' % (content, sha256(content).encode())


def forged(**changes: JsonValue) -> bytes:
    """The sample document with other fields, and the right sum."""
    content: dict[str, JsonValue] = json.loads(DOCUMENT)["content"]
    return framed(canonical_json(content | changes))


def refusal(document: bytes) -> str:
    """What is said of a document."""
    with pytest.raises(StoreError) as caught:
        unseal(KEY, document, CaptureRecord)
    assert KEY in str(caught.value)
    assert caught.value.do
    return str(caught.value)


def test_what_is_sealed_is_read_back() -> None:
    """Opening gives the data that was sealed."""
    assert unseal(KEY, DOCUMENT, CaptureRecord) == make_record("run-1")


def test_a_document_is_json_that_people_can_read() -> None:
    """The envelope is one JSON object on one line, with its own key inside."""
    assert json.loads(DOCUMENT)["content"]["key"] == KEY
    assert DOCUMENT.count(b"\n") == 1


def test_truncated_anywhere() -> None:
    """A document cut at any byte is refused."""
    for length in range(len(DOCUMENT)):
        assert "truncated" in refusal(DOCUMENT[:length])


@given(st.integers(0, len(DOCUMENT) - 1), st.integers(1, 255))
@settings(database=None, deadline=None, max_examples=300)
def test_any_changed_byte(position: int, change: int) -> None:
    """A document with any one byte changed is refused."""
    changed = bytearray(DOCUMENT)
    changed[position] ^= change
    refusal(bytes(changed))


@pytest.mark.parametrize("document", [DOCUMENT + b"\n", DOCUMENT + DOCUMENT, b" " + DOCUMENT, DOCUMENT[:-1] + b" \n"])
def test_longer_than_written(document: bytes) -> None:
    """Bytes before or after a document are refused."""
    refusal(document)


@given(st.binary(max_size=300))
@settings(database=None, deadline=None)
def test_anything_else(document: bytes) -> None:
    """Bytes that are no document are refused, with and without a right sum."""
    refusal(document)
    refusal(framed(document))


def test_another_objects_document() -> None:
    """A whole document in another's place is told by the key inside."""
    assert "put in another's place" in refusal(seal("records/digits/v1/run-1", make_record("run-1")))


def test_a_newer_schema() -> None:
    """A document of a later Launch Jobs asks for an upgrade, and is not called damaged."""
    said = refusal(forged(schema_version=2, wing="new"))
    assert "newer Launch Jobs (schema 2)" in said
    assert "Upgrade" in said
    assert "damaged" not in said


@pytest.mark.parametrize("changes", [{"schema_version": 0}, {"schema_version": "1"}, {"extra": 1}, {"data": None}])
def test_another_shape(changes: dict[str, JsonValue]) -> None:
    """Fields that are unknown, missing or of another type are refused, naming the field."""
    refusal(forged(**changes))


def test_the_field_is_named() -> None:
    """What is wrong inside the data is said by its path."""
    data: dict[str, JsonValue] = json.loads(DOCUMENT)["content"]["data"]
    host = data["host"]
    assert isinstance(host, dict)
    host["cpus"] = "many"
    assert "host.cpus" in refusal(forged(data=data))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"1" * 10_000,
        b"1e999999",
        b"NaN",
        b"null",
        b'"\\ud800"',
        b"\xff\xfe",
        b'{"data":{},}',
        b"",
    ],
    ids=[
        "deep-list",
        "deep-object",
        "long-number",
        "huge-number",
        "nan",
        "null",
        "surrogate",
        "utf-16",
        "comma",
        "empty",
    ],
)
def test_hostile_json(content: bytes) -> None:
    """JSON made to break a parser is refused like any other damage."""
    refusal(framed(content))


def test_larger_than_any_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a largest size, and beyond it nothing is parsed."""
    monkeypatch.setattr(envelope, "LARGEST_BYTES", len(DOCUMENT) - 1)
    assert "larger than" in refusal(DOCUMENT)


def nested(depth: int) -> JsonValue:
    """Lists in lists."""
    value: JsonValue = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\udcff", nested(240)], ids=["nan", "inf", "text", "deep"]
)
def test_what_could_not_be_read_is_not_written(value: JsonValue) -> None:
    """Data with no JSON form, or too deep to be read again, is bad input and never reaches the store."""
    with pytest.raises(BadInput, match="cannot be kept"):
        seal(KEY, Anything.model_construct(value=value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(database=None, deadline=None)
def test_any_json_comes_back(value: JsonValue) -> None:
    """Whatever JSON is sealed is read back the same, types included."""
    kept = unseal(KEY, seal(KEY, Anything(value=value)), Anything)
    assert canonical_json(kept.value) == canonical_json(value)


def test_the_end_that_a_newer_version_told_is_no_damage() -> None:
    """An older agent passes over what it does not know, in every part of it: else it would begin the run again."""
    key = "outcomes/run-1/1"
    stopped = Stopped(gone="2026-01-01T00:00:01+00:00")
    end = Outcome(run="run-1", attempt=1, place="p", reason=Reason.TIMEOUT, message="m", ended="e", stopped=stopped)
    told: dict[str, JsonValue] = json.loads(seal(key, end))["content"]
    data = cast("dict[str, dict[str, JsonValue]]", told["data"])
    data["stopped"]["frozen"] = data["outputs"]["tables"] = ["new"]
    newer = {**data, "energy_joules": 3, "failure": "cosmic ray"}
    document = framed(canonical_json({**told, "data": cast("JsonValue", newer)}))
    assert read_outcome(key, document) == end
    unknown = framed(canonical_json({**told, "data": cast("JsonValue", {**newer, "reason": "new"})}))
    with pytest.raises(StoreError, match="reason"):
        read_outcome(key, unknown)
