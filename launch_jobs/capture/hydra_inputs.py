"""From a composed Hydra configuration to a job's inputs: every value and every group is a parameter, `key=value`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue

from launch_jobs.arguments import properties_of
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


class SeenGroup(BaseModel):
    """A group of the defaults list: the file that is chosen of it, None for none, and those that could be."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    choice: str | None
    options: tuple[str, ...] = ()

    @property
    def schema_(self) -> JsonObject:
        """The files of the group, and none if none is chosen."""
        return {"enum": [*self.options, *([None] if self.choice is None else [])]}


class SeenHydra(SeenArguments):
    """The configuration as its files have it, and what the command line sets in it.

    Attributes:
        texts: all overrides, those that choose a file for a group too.
    """

    library: Literal["hydra"]
    config: dict[str, object]
    texts: tuple[str, ...] = ()
    overrides: tuple[SeenOverride, ...] = ()
    groups: tuple[SeenGroup, ...] = ()


def take_hydra(seen: SeenHydra) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they are several runs, or a value cannot be written again.
    """
    if any(word in _SWEEP for word in seen.args):
        raise WholeError("--multirun is several runs in one")
    groups = [one for one in seen.groups if one.choice is None or one.choice in one.options]
    # What the command line adds or takes away, it does to a defaults list that has no such group, or has.
    groups = [one for one in groups if not any(text[1:].partition("=")[0] == one.name for text in seen.texts)]
    names = {one.name for one in groups}
    leaves = {name: value for name, value in _leaves(seen.config, "") if name not in names}
    set_here = [one for one in seen.overrides if one.kind == "CHANGE" and one.key in leaves and _plain(one)]
    chosen = {text: one for one in groups for text in seen.texts if text.partition("=")[0] == one.name}
    values: JsonObject = {one.key: one.value for one in set_here}
    values |= {one.name: one.choice for one in chosen.values()}
    inputs = _with_groups(_inputs(leaves, values), groups, {one.name for one in chosen.values()})
    covered = {one.text for one in set_here} | chosen.keys()
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


def _with_groups(inputs: Inputs, groups: list[SeenGroup], chosen: set[str]) -> Inputs:
    """The groups before all values. Of one that the command line chose, nobody knows what the files choose."""
    if not groups:
        return inputs
    properties: dict[str, JsonValue] = {
        one.name: {**one.schema_, "title": one.name, **({} if one.name in chosen else {"default": one.choice})}
        for one in groups
    }
    schema = inputs.parameters_schema
    required = [*cast("list[JsonValue]", schema.get("required", [])), *sorted(chosen)]
    whole: JsonObject = {**schema, "properties": {**properties, **properties_of(inputs)}}
    options = tuple(Option(name=one.name, flag=None, action="assign") for one in groups)
    return Inputs(
        parameters_schema={**whole, "required": required} if required else whole, options=(*options, *inputs.options)
    )


def _given(values: JsonObject, name: str) -> list[JsonValue]:
    return [values[name]] if name in values else []
