"""The log of a W&B run (`run-<id>.wandb`): what the run was, for clients that write it nowhere else.

Since 0.20 a client that is offline keeps git commit, arguments and config in this file only. It is a log in the format
of LevelDB (blocks of 32 KiB, records in pieces) of protocol-buffer messages; W&B's field numbers are below. Anything
may be in the file: it is read with limits, and nothing in it is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject

_HEADER, _BLOCK, _PIECE = 7, 32768, 7
_LARGEST_RECORD = 16 << 20
_FULL, _LAST = 1, 4

# Record: config 5, run 17, exit 18, environment 26. RunRecord: run_id 1, project 3, config 4, display_name 8, git 21.
_CONFIG, _RUN, _EXIT, _ENVIRONMENT = 5, 17, 18, 26
_ENVIRONMENT_TEXTS = {
    **{1: "os", 2: "python", 4: "docker", 6: "program", 7: "codePath", 8: "codePathLocal"},
    **{11: "root", 12: "host"},
}


@dataclass(slots=True)
class RunLog:
    """What a log tells.

    Attributes:
        run: id.
        project: of W&B.
        metadata: as `wandb-metadata.json` has it.
        config: values by name.
        exit_code: None: the run's end is not in it.
    """

    run: str = ""
    project: str = ""
    metadata: JsonObject = field(default_factory=dict[str, JsonValue])
    config: JsonObject = field(default_factory=dict[str, JsonValue])
    exit_code: int | None = None


def read_log(file: Path) -> RunLog:
    """Read a run's log; what a killed client left of it, too.

    Raises:
        BadInput: it is no such log.
    """
    told = RunLog()
    with file.open("rb") as log:
        if log.read(4) != b":W&B":
            raise BadInput(f"{file} is no log of a W&B run")
        log.seek(0)
        for record in _records(log.read()):
            # A record cut off by a crash is the log's end.
            with suppress(ValueError, IndexError):
                _take(told, dict(_fields(record)))
    return told


def _records(data: bytes) -> Iterator[bytes]:
    at, whole = _HEADER, b""
    while at + _PIECE <= len(data):
        if _BLOCK - at % _BLOCK < _PIECE:
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        piece = data[at + _PIECE : at + _PIECE + length]
        at += _PIECE + length
        whole = piece if kind <= _FULL + 1 else whole + piece
        if len(whole) > _LARGEST_RECORD:
            return
        if kind in (_FULL, _LAST):
            yield whole


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of a message: bytes, or a number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("cut off")
            yield number, message[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _take(told: RunLog, record: dict[int, bytes | int]) -> None:
    if isinstance(environment := record.get(_ENVIRONMENT), bytes):
        _take_environment(told, environment)
    if isinstance(run := record.get(_RUN), bytes):
        for number, value in _fields(run):
            if isinstance(value, bytes):
                _take_run(told, number, value)
    if isinstance(config := record.get(_CONFIG), bytes):
        _take_config(told, config)
    if isinstance(ended := record.get(_EXIT), bytes):
        code = dict(_fields(ended)).get(1, 0)
        told.exit_code = code & 0xFF if isinstance(code, int) else 0


def _take_run(told: RunLog, number: int, value: bytes) -> None:
    if number == 1:
        told.run = value.decode()
    elif number == 3:
        told.project = value.decode()
    elif number == 4:
        _take_config(told, value)
    elif number == 21:
        told.metadata["git"] = _git(value)


def _take_config(told: RunLog, config: bytes) -> None:
    for number, item in _fields(config):
        if number == 1 and isinstance(item, bytes):
            _take_item(told.config, item)


def _take_item(config: JsonObject, item: bytes) -> None:
    parts = list(_fields(item))
    names = [value.decode() for number, value in parts if number in (1, 2) and isinstance(value, bytes) and value]
    written = next((value for number, value in parts if number == 16 and isinstance(value, bytes)), None)
    if not names or written is None:
        return
    for name in names[:-1]:
        inner = config.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        config = inner
    config[names[-1]] = json.loads(written)


def _take_environment(told: RunLog, environment: bytes) -> None:
    arguments: list[JsonValue] = []
    for number, value in _fields(environment):
        if not isinstance(value, bytes):
            continue
        if number in _ENVIRONMENT_TEXTS:
            told.metadata[_ENVIRONMENT_TEXTS[number]] = value.decode()
        elif number == 5:
            arguments.append(value.decode())
        elif number == 9:
            told.metadata["git"] = _git(value)
    if arguments:
        told.metadata["args"] = arguments


def _git(message: bytes) -> JsonObject:
    named = {1: "remote", 2: "commit"}
    return {
        named[number]: value.decode()
        for number, value in _fields(message)
        if number in named and isinstance(value, bytes)
    }
