"""What people type for a parameter (`-p name=text`), read by the parameter's schema."""

from __future__ import annotations

import json
from typing import cast

from pydantic import JsonValue

from launch_jobs.arguments import allowed_values, known_schema, properties_of, short, types_of
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def parse_parameter_text(inputs: Inputs, name: str, text: str) -> JsonValue:
    """The value that `-p name=text` means, by the parameter's schema. Lists are written `a,b,c` or as JSON.

    Raises:
        BadInput: no such parameter, or the text is no value of its type.
    """
    schema = known_schema(properties_of(inputs), name)
    if text == "null" and "null" in types_of(schema) and "string" not in types_of(schema):
        return None
    if not types_of(schema) and "enum" in schema:
        return _among(name, schema, text)
    if "array" in types_of(schema) and all(kind in ("array", "null") for kind in types_of(schema)):
        return _parse_list(name, schema, text)
    return _parse_scalar(name, schema, text)


def _parse_list(name: str, schema: JsonObject, text: str) -> JsonValue:
    if text.startswith("["):
        try:
            return cast("JsonValue", json.loads(text))
        except ValueError as error:
            raise BadInput(
                f"parameter {name!r}: {short(repr(text))} is no list in JSON", do=_written_list(name, schema, text)
            ) from error
    items = cast("JsonObject", schema.get("items", {"type": "string"}))
    return [_parse_scalar(name, items, part) for part in text.split(",")] if text else []


def _written_list(name: str, schema: JsonObject, text: str) -> str:
    """How to write the list that was probably meant."""
    parts = [part.strip().strip("'\"") for part in text.strip("[]").split(",")]
    if not all(part and part.isprintable() for part in parts):
        return allowed_values(schema)
    plain = f"Write {name}={','.join(parts)}"
    is_text = "string" in types_of(cast("JsonObject", schema.get("items", {"type": "string"})))
    return short(f"{plain} or '{name}={json.dumps(parts, ensure_ascii=False)}'" if is_text else plain)


def _parse_scalar(name: str, schema: JsonObject, text: str) -> JsonValue:
    types = types_of(schema)
    if sum(kind != "null" for kind in types) > 1:
        return _parse_any(text)
    try:
        if "integer" in types:
            return int(text)
        if "number" in types:
            return _number(text)
    except ValueError as error:
        raise _ill_typed(name, schema, text) from error
    if "boolean" in types:
        return _parse_boolean(name, schema, text)
    return text


def _parse_any(text: str) -> JsonValue:
    """Of a parameter of any type: JSON where it is that, else the text."""
    try:
        return cast("JsonValue", json.loads(text, parse_constant=lambda name: name))
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> float:
    value = float(text)
    if value - value != 0:  # infinite or NaN: JSON has none
        raise ValueError(text)
    return value


def _parse_boolean(name: str, schema: JsonObject, text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise _ill_typed(name, schema, text)


def _among(name: str, schema: JsonObject, text: str) -> JsonValue:
    for value in cast("list[JsonValue]", schema["enum"]):
        if text in (value, json.dumps(value)):
            return value
    raise _ill_typed(name, schema, text)


def _ill_typed(name: str, schema: JsonObject, text: str) -> BadInput:
    return BadInput(f"parameter {name!r}: {short(repr(text))} is not allowed", do=allowed_values(schema))
