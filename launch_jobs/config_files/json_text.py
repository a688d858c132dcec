"""JSON: where each value stands in a text. What is changed is put in its place, and all around it stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import JsonValue

from launch_jobs.config_files.leaves import Keys, Leaf, NotConfigError

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def leaves(text: str) -> list[Leaf]:
    """Every value.

    Raises:
        NotConfigError: the text is no JSON, or no object.
    """
    try:
        whole: object = json.loads(text)
    except ValueError as error:
        raise NotConfigError(f"it is no JSON: {error}") from error
    if not isinstance(whole, dict):
        raise NotConfigError("it is no object with names")
    return list(_walk(text, _after_space(text, 0), ()))


def rewrite(text: str, changes: Mapping[Keys, JsonValue]) -> str:
    """The text with some values changed."""
    for leaf in sorted(leaves(text), key=lambda leaf: -leaf.start):
        if leaf.keys in changes:
            text = text[: leaf.start] + _written(text, leaf, changes[leaf.keys]) + text[leaf.end :]
    return text


def _walk(text: str, start: int, keys: Keys) -> Iterator[Leaf]:
    """The values of the object that begins at a place."""
    seen: set[str] = set()
    place = _after_space(text, start + 1)
    while text[place] == '"':
        name, place = cast("tuple[str, int]", _DECODER.raw_decode(text, place))
        if name in seen:
            raise NotConfigError(f"{name!r} is there twice")
        seen.add(name)
        place = _after_space(text, _after_space(text, place) + 1)
        value, end = cast("tuple[JsonValue, int]", _DECODER.raw_decode(text, place))
        if isinstance(value, dict):
            yield from _walk(text, place, (*keys, name))
        else:
            yield Leaf((*keys, name), value, place, end)
        comma = _after_space(text, end)
        place = _after_space(text, comma + 1)
        if text[comma] == "}":
            return


def _written(text: str, leaf: Leaf, value: JsonValue) -> str:
    """A list that stood on several lines stands so again."""
    old = text[leaf.start : leaf.end]
    if not isinstance(value, list) or "\n" not in old or not value:
        return json.dumps(value, ensure_ascii=text.isascii())
    first, last = _after_space(old, 1), len(old) - 1
    between, behind = old[1:first], old[len(old[:last].rstrip()) : last]
    items = f",{between}".join(json.dumps(one, ensure_ascii=text.isascii()) for one in value)
    return f"[{between}{items}{behind}]"


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
