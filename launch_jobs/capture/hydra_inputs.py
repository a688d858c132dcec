"""From a composed Hydra configuration to a job's inputs: every value is a parameter, set by `key=value`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue

from launch_jobs.capture.examples import ANY, schema_by
from launch_jobs.capture.taken import Parsed, SeenArguments, Taken, WholeError, proven
from launch_jobs.job import Inputs, JsonObject, Option

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SWEEP = ("-m", "--multirun", "hydra.mode=MULTIRUN")
_MISSING = "???"


class SeenOverride(BaseModel):
    """One `key=value` of the command line. `value` is unset where it was no plain data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    text: str
    kind: str
    value: JsonValue = None


class SeenHydra(SeenArguments):
    """The configuration as its files have it, and what the command line sets in it.

    Attributes:
        texts: all overrides, those that choose a file for a group too.
    """

    library: Literal["hydra"]
    config: dict[str, object]
    texts: tuple[str, ...] = ()
    overrides: tuple[SeenOverride, ...] = ()


def take_hydra(seen: SeenHydra) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they are several runs, or a value cannot be written again.
    """
    if any(word in _SWEEP for word in seen.args):
        raise WholeError("--multirun is several runs in one")
    leaves = dict(_leaves(seen.config, ""))
    set_here = [one for one in seen.overrides if one.kind == "CHANGE" and one.key in leaves and _plain(one)]
    values: JsonObject = {one.key: one.value for one in set_here}
    inputs = _inputs(leaves, values)
    covered = {one.text for one in set_here}
    # argparse, which Hydra has for its own options, wants all overrides in one place.
    others = [word for word in seen.args if word not in seen.texts]
    kept = [word for word in seen.args if word in seen.texts and word not in covered]
    parsed = Parsed(values, (*others, *kept))
    return proven(inputs, parsed, lambda _: parsed)


def _plain(one: SeenOverride) -> bool:
    return "value" in one.model_fields_set


def _leaves(config: dict[str, object], prefix: str) -> Iterator[tuple[str, JsonValue]]:
    for name, value in config.items():
        if not _KEY.fullmatch(name) or isinstance(value, tuple):
            continue  # not to be named on a command line; or no plain data
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, object]", value), f"{prefix}{name}.")
        else:
            yield prefix + name, cast("JsonValue", value)


def _inputs(leaves: JsonObject, values: JsonObject) -> Inputs:
    properties: dict[str, JsonValue] = {}
    required: list[JsonValue] = []
    for name, default in leaves.items():
        # A reference to another value tells nothing of the type.
        unknown = isinstance(default, str) and (default == _MISSING or "${" in default)
        types: JsonObject = {"type": [*ANY]} if unknown else schema_by(default, *_given(values, name))
        properties[name] = {**types, "title": name} | ({} if default == _MISSING else {"default": default})
        required += [name] if default == _MISSING else []
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    options = tuple(Option(name=name, flag=None, action="assign") for name in leaves)
    return Inputs(parameters_schema={**schema, "required": required} if required else schema, options=options)


def _given(values: JsonObject, name: str) -> list[JsonValue]:
    return [values[name]] if name in values else []
