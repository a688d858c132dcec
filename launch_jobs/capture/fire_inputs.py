"""From the function that fire was given to a job's inputs: its parameters, whose values are Python's own literals."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue

from launch_jobs.capture.examples import ANY, schema_by
from launch_jobs.capture.taken import Parsed, SeenArguments, Taken, WholeError, proven
from launch_jobs.job import Inputs, JsonObject, Option


class SeenArgument(BaseModel):
    """One parameter of the function. `default` is unset where there is none, or no plain data; no name: `*args`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    required: bool
    default: JsonValue = None


class SeenFire(SeenArguments):
    """The words that name the function, and its parameters; None where no function was named."""

    library: Literal["fire"]
    words: tuple[str, ...]
    params: tuple[SeenArgument, ...] | None = None


def take_fire(seen: SeenFire) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they cannot be rendered again exactly.
    """
    params = seen.params
    if params is None or any(not one.name for one in params):
        raise WholeError("fire makes its command of something else than a function with named parameters")
    count = len(seen.words)
    parsed = _parse(params, seen.args[count:])
    taken = proven(_inputs(seen.words, params, parsed.values), parsed, lambda words: _parse(params, words[count:]))
    return Taken(taken.inputs, taken.values, ())


def _parse(params: Sequence[SeenArgument], args: Sequence[str]) -> Parsed:
    values: JsonObject = {}
    places: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            if word.startswith("-") and not word[1:2].isdigit():
                raise WholeError(f"fire reads {word} in a way of its own")
            places.append(word)
            continue
        name, equals, text = word[2:].replace("-", "_", word[2:].partition("=")[0].count("-")).partition("=")
        if not equals and words and not words[0].startswith("-"):
            text, equals = words.pop(0), "="
        name, value = _named(params, name, text if equals else None)
        values[name] = value
    free = [one.name for one in params if one.name not in values]
    if len(places) > len(free):
        raise WholeError("fire goes on with what the function returns")
    return Parsed(values | {name: _value(text) for name, text in zip(free, places, strict=False)}, ())


def _named(params: Sequence[SeenArgument], name: str, text: str | None) -> tuple[str, JsonValue]:
    names = {one.name for one in params}
    if name in names:
        return name, True if text is None else _value(text)
    if text is None and name.startswith("no") and name[2:] in names:
        return name[2:], False
    raise WholeError(f"the function has no parameter {name}")


def _value(text: str) -> JsonValue:
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if any(sign in text for sign in "[](){}'\"\\#") or text != text.strip():
            raise WholeError(f"fire reads {text!r} in a way of its own") from None
        return text
    try:
        if json.loads(json.dumps(value, allow_nan=False)) != value:
            raise ValueError(text)
    except (TypeError, ValueError) as error:
        raise WholeError(f"the value {text!r} is no JSON") from error
    return cast("JsonValue", value)


def _inputs(words: Sequence[str], params: Sequence[SeenArgument], values: JsonObject) -> Inputs:
    properties: dict[str, JsonValue] = {}
    for one in params:
        known = [one.default] if "default" in one.model_fields_set else []
        given = [values[one.name]] if one.name in values and known else []
        schema: JsonObject = schema_by(*known, *given) if known else {"type": [*ANY]}
        properties[one.name] = {**schema, "title": one.name} | ({"default": one.default} if known else {})
    required: list[JsonValue] = [one.name for one in params if one.required]
    whole: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    options = [Option(name=word, flag=None, action="word", const=word) for word in words]
    options += [Option(name=one.name, flag=f"--{one.name}", action="literal") for one in params]
    return Inputs(parameters_schema={**whole, "required": required} if required else whole, options=tuple(options))
