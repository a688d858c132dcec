"""The hyperparameters that a script gave to `launch_jobs.track`, as inputs; a launch sends LAUNCH_PARAMETERS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from launch_jobs.arguments import properties_of
from launch_jobs.capture.examples import schema_by
from launch_jobs.capture.parameters import CapturedInputs
from launch_jobs.job import JsonObject

_DEEPEST = 64


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    names: tuple[str, ...]
    schema_: JsonObject | None = None

    @classmethod
    def read(cls, path: Path) -> _Described | None:
        try:
            return cls.model_validate_json(path.read_bytes().replace(b'"schema"', b'"schema_"', 1))
        except ValidationError:
            return None  # not ours, or tampered with


def keep_parameters(folder: Path, values: JsonObject) -> None:
    """Say before a run, in the place of its program, what parameters it has: `with_tracked` finds them."""
    if values:
        described = {"names": sorted(values), "schema": None}
        (folder / "0-0.schema").write_text(json.dumps(described), encoding="ascii")
        (folder / "0-0.json").write_text(json.dumps(values), encoding="ascii")


def with_tracked(captured: CapturedInputs, values: JsonObject, folder: Path) -> CapturedInputs:
    """Add what the run's processes gave to `track`: schema and values. What an argument sets already stays so."""
    known = properties_of(captured.inputs)
    added: JsonObject = {}
    for path in sorted(folder.glob("*.schema"), key=lambda path: path.stem.rpartition("-")[2]):
        described = _Described.read(path)
        if described is None:
            continue
        schemas = _leaves(described.schema_ or {}, described.schema_ or {}, "", 0)
        for name in described.names:
            if name in values and name not in known:
                added[name] = {**_fitting(schemas.get(name), values[name]), "title": name}
    if not added:
        return replace(captured, values={**values, **captured.values})
    schema = captured.inputs.parameters_schema
    whole: JsonObject = {**schema, "properties": {**known, **added}}
    inputs = captured.inputs.model_copy(update={"parameters_schema": whole})
    return replace(captured, inputs=inputs, values={**values, **captured.values})


def _fitting(schema: JsonObject | None, value: JsonValue) -> JsonObject:
    """The schema, if it is one and the value is what it allows; else what the value itself tells."""
    try:
        if schema is not None:
            Draft202012Validator.check_schema(schema)
            if Draft202012Validator(schema).is_valid(value):  # pyright: ignore[reportUnknownMemberType]  jsonschema has no types
                return schema
    except (SchemaError, RecursionError):
        pass
    return schema_by(value)


def _leaves(schema: JsonObject, root: JsonObject, prefix: str, depth: int) -> dict[str, JsonObject]:
    """The schema of each value by its dotted name. A default is the script's, and no part of a job."""
    whole = _resolved(schema, root)
    inner = whole.get("properties")
    if not isinstance(inner, dict) or depth > _DEEPEST:
        leaf = {key: value for key, value in whole.items() if key != "default"}
        return {} if "$ref" in str(leaf) else {prefix[:-1]: _one_type(leaf)}
    found: dict[str, JsonObject] = {}
    for name, one in inner.items():
        found |= _leaves(cast("JsonObject", one), root, f"{prefix}{name}.", depth + 1) if isinstance(one, dict) else {}
    return found


def _resolved(schema: JsonObject, root: JsonObject) -> JsonObject:
    """What a reference into the same schema means, as pydantic writes them."""
    parts = cast("list[JsonValue]", schema.get("allOf") or [schema])
    first = cast("JsonObject", parts[0]) if len(parts) == 1 and isinstance(parts[0], dict) else schema
    reference = str(first.get("$ref", ""))
    if not reference.startswith("#/"):
        return schema
    place: JsonValue = root
    for part in reference[2:].split("/"):
        place = place.get(part) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else schema


def _one_type(schema: JsonObject) -> JsonObject:
    """`Optional[float]` as one schema of two types, which a form can draw and `-p` can read."""
    choices = cast("list[JsonObject]", schema.get("anyOf") or [])
    kinds = [choice for choice in choices if choice.get("type") != "null"]
    if len(choices) != 2 or len(kinds) != 1 or not isinstance(kinds[0].get("type"), str) or "enum" in kinds[0]:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **kinds[0], "type": [kinds[0]["type"], "null"]}
