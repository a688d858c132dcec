"""Paths into plain objects, as `spec.replicatedJobs[].template.spec`: reading what is there, putting what is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject

PATH = r"^[A-Za-z][A-Za-z0-9_-]*(\[\]|\{\})?(\.[A-Za-z][A-Za-z0-9_-]*(\[\]|\{\})?)*$"
"""Dots between keys; after a key `[]` means each item of its list, `{}` each value of its object."""

_PART = re.compile(r"(?P<key>[^\[{]+)(?P<each>\[\]|\{\})?")


def found(value: JsonValue, path: str) -> Iterator[tuple[str, JsonValue]]:
    """Everything at a path, each with the very place where it is (`spec.tasks[1].template`)."""
    yield from _found(value, path.split("."), "")


def first(value: JsonValue, path: str) -> JsonValue:
    """What is at a path, or None."""
    return next((one for _, one in found(value, path)), None)


def objects(value: JsonValue, path: str) -> Iterator[tuple[str, JsonObject]]:
    """Every object at a path."""
    yield from ((place, one) for place, one in found(value, path) if isinstance(one, dict))


def put(value: JsonObject, path: str, new: JsonValue) -> None:
    """Put something at every place of a path, with the objects above it; what is there goes, lists stay as long.

    Raises:
        BadInput: something on the way is no object.
    """
    for holder, key in holders(value, path):
        holder[key] = new


def put_default(value: JsonObject, path: str, new: JsonValue) -> None:
    """The same, but only where nothing is yet."""
    for holder, key in holders(value, path):
        holder.setdefault(key, new)


def holders(value: JsonObject, path: str) -> Iterator[tuple[JsonObject, str]]:
    """The objects that have, or could have, the last key of a path; those above are made.

    Raises:
        BadInput: something on the way is no object.
    """
    head, _, key = path.rpartition(".")
    yield from ((one, key) for one in _made(value, head.split(".") if head else [], ""))


def items(holder: JsonObject, key: str) -> list[JsonObject]:
    """The objects of a list, if there is one."""
    found = holder.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def part(holder: JsonObject, key: str) -> JsonObject:
    """The object under a key; it is made if there is none.

    Raises:
        BadInput: something else is there.
    """
    found = holder.get(key)
    if found is None:
        found = holder[key] = {}
    if not isinstance(found, dict):
        raise BadInput(f"{key!r} in the manifest is no object", do="Mend the queue's manifest")
    return found


def names_of(found: Iterable[JsonObject], key: str = "name") -> set[str]:
    """The names among some objects."""
    return {str(one[key]) for one in found if key in one}


def _found(value: JsonValue, parts: list[str], place: str) -> Iterator[tuple[str, JsonValue]]:
    if not parts:
        yield place, value
        return
    match = _PART.fullmatch(parts[0])
    if not match or not isinstance(value, dict) or match["key"] not in value:
        return
    at = f"{place}.{match['key']}" if place else match["key"]
    for name, item in _each(value[match["key"]], match["each"]):
        yield from _found(item, parts[1:], at + name)


def _each(value: JsonValue, each: str | None) -> Iterator[tuple[str, JsonValue]]:
    if each is None:
        yield "", value
    elif each == "[]" and isinstance(value, list):
        yield from ((f"[{number}]", item) for number, item in enumerate(value))
    elif each == "{}" and isinstance(value, dict):
        yield from ((f".{key}", item) for key, item in value.items())


def _made(value: JsonObject, parts: list[str], place: str) -> Iterator[JsonObject]:
    if not parts:
        yield value
        return
    match = _PART.fullmatch(parts[0])
    key, each = (match["key"], match["each"]) if match else (parts[0], None)
    at = f"{place}.{key}" if place else key
    if each is None and value.get(key) is None:
        value[key] = {}
    for name, item in _each(value.get(key), each):
        if not isinstance(item, dict):
            raise BadInput(f"{at}{name} of the manifest is no object", do="Mend the queue's manifest")
        yield from _made(item, parts[1:], at + name)
