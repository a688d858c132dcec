"""The checked envelope of every document in the store: data in, bytes out, and back. Pure.

A document is one line of JSON, `{"content":{"data":…,"key":…,"schema_version":1},"sha256":"sha256:…"}`. The sum is
over the bytes of `content`, so it is checked before anything is parsed; the key inside tells swapped objects.
"""

from __future__ import annotations

import re
from typing import Literal, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json

from launch_jobs.errors import BadInput, StoreError
from launch_jobs.job import Frozen
from launch_jobs.names import canonical_json, sha256

LARGEST_BYTES = 64 << 20
"""No document is larger: a stranger's file must not fill our memory."""

SCHEMA_VERSION = 1

_HEAD = b'{"content":'
_TAIL = re.compile(rb',"sha256":"(sha256:[0-9a-f]{64})"\}\n')
_TAIL_LENGTH = len(b',"sha256":"sha256:"}\n') + 64

Model = TypeVar("Model", bound=BaseModel)


class _Content(Frozen):
    data: JsonValue
    key: str
    schema_version: Literal[1]


def seal(key: str, model: BaseModel) -> bytes:
    """The document to be kept under a key; what is sealed can be opened again.

    Raises:
        BadInput: the data has no JSON form (NaN, broken text), or is too large or too deep.
    """
    try:
        data = model.model_dump(mode="json", by_alias=True)
        content = canonical_json({"data": data, "key": key, "schema_version": SCHEMA_VERSION})
        sealed = b'%s%s,"sha256":"%s"}\n' % (_HEAD, content, sha256(content).encode())
        unseal(key, sealed, type(model))
    except (ValueError, RecursionError, StoreError) as error:
        raise BadInput(f"{key} cannot be kept in the job store: {error}", do="Mend the named value") from error
    return sealed


def unseal(key: str, document: bytes, model: type[Model]) -> Model:
    """The data of a document, checked.

    Raises:
        StoreError: truncated, changed, another object's, of a newer schema, or no document at all.
    """
    content = _content_bytes(key, document)
    try:
        parsed: JsonValue = from_json(content, allow_inf_nan=False)
        _refuse_newer(key, parsed)
        envelope = _Content.model_validate(parsed)
        if envelope.key != key:
            raise corrupt(key, f"it is {envelope.key!r}, put in another's place")
        return model.model_validate(envelope.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise corrupt(key, f"{where or 'content'}: {first['msg']}") from error
    except ValueError as error:
        raise corrupt(key, f"no JSON: {error}") from error


def corrupt(key: str, why: str) -> StoreError:
    """The error for an object that is not what was written."""
    return StoreError(
        f"job store object {key} is damaged: {why}",
        do="Put it back from a backup; or delete this object and capture or run again. Everything else stays usable",
    )


def _content_bytes(key: str, document: bytes) -> bytes:
    if len(document) > LARGEST_BYTES:
        raise corrupt(key, f"larger than {LARGEST_BYTES} bytes")
    tail = _TAIL.fullmatch(document[-_TAIL_LENGTH:])
    if not tail or not document.startswith(_HEAD):
        raise corrupt(key, "truncated, or not a document of Launch Jobs")
    content = document[len(_HEAD) : -_TAIL_LENGTH]
    if sha256(content).encode() != tail[1]:
        raise corrupt(key, "its SHA-256 does not match")
    return content


def _refuse_newer(key: str, parsed: JsonValue) -> None:
    numbers: list[int] = []
    match parsed:
        case {"schema_version": int(outer), "data": {"version": {"job": {"schema_version": int(inner)}}}}:
            numbers = [outer, inner]
        case {"schema_version": int(outer)}:
            numbers = [outer]
        case _:
            pass
    if any(number > SCHEMA_VERSION for number in numbers):
        raise StoreError(
            f"job store object {key} was written by a newer Launch Jobs (schema {max(numbers)})",
            do="Upgrade Launch Jobs on this machine",
        )
