"""Sets of parameters as a file lists them, for `launch submit --batch`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import yaml
from pydantic import JsonValue, TypeAdapter, ValidationError

from launch_jobs.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from launch_jobs.job import JsonObject

_SETS = TypeAdapter(list[dict[str, JsonValue]])
_LINES = (".jsonl", ".ndjson")
_DO = "Write a list of sets, such as [{lr: 0.1}, {lr: 0.2}], or one set in JSON a line in a file named .jsonl"


class _Loader(yaml.SafeLoader):
    """`1e-3` is a text to PyYAML, and a number to everybody else, and to whoever wrote it."""


_Loader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType] - PyYAML has no types for it
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), None
)


def read_batch_file(path: Path) -> list[JsonObject]:
    """The sets of parameters in a JSON, JSON lines or YAML file, by the end of its name (else YAML).

    Raises:
        BadInput: the file is no list of sets; the message names the place.
    """
    try:
        content = _read(path)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read ({' '.join(str(error).split())[:200]})", do=_DO) from error
    try:
        return _SETS.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place, *keys = [*first["loc"], ""]
        where = f", set {place + 1} {'.'.join(map(str, keys))}".rstrip() if isinstance(place, int) else ""
        raise BadInput(f"{path}{where}: {first['msg']}", do=_DO) from error


def _read(path: Path) -> object:
    text = path.read_text("utf-8-sig")
    if path.suffix in _LINES:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if path.suffix == ".json":
        return json.loads(text)
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
