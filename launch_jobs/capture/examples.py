"""The schema of a parameter whose type only its default, and the value it was given, tell. Pure."""

from __future__ import annotations

from typing import cast

from pydantic import JsonValue

from launch_jobs.job import JsonObject

ANY: list[JsonValue] = ["null", "boolean", "number", "string", "array", "object"]
_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


def schema_by(*values: JsonValue) -> JsonObject:
    """What all these values are; anything, where they tell nothing or differ."""
    kinds = {_NAMES.get(type(value), "") for value in values}
    if kinds == {"integer", "number"}:
        return {"type": "number"}
    if len(kinds) != 1 or kinds == {""}:
        return {"type": [*ANY]}
    kind = kinds.pop()
    if kind != "array":
        return {"type": kind}
    items = [item for value in values for item in cast("list[JsonValue]", value)]
    return {"type": kind, "items": schema_by(*items)} if items else {"type": kind}
