"""Queue configuration: base job templates in Prefect's form, and our own renderer, to which every value is data."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match  # pyright: ignore[reportUnknownVariableType] # untyped
from jsonschema.exceptions import ValidationError as JsonSchemaError
from pydantic import JsonValue, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.configuration import ProcessConfiguration

C = TypeVar("C", bound=ProcessConfiguration)

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_MACRO = re.compile(r"\{\{\s*(prefect\.|\$)")
_LARGEST = 1 << 20
_MEND = "Mend the queue's base job template"


def base_job_template(model: type[ProcessConfiguration]) -> JsonObject:
    """The template a new queue gets: each field of the configuration is a job variable of the same name."""
    schema = cast("JsonObject", model.model_json_schema())
    schema["title"] = model.work_pool_type
    fixed: JsonObject = dict.fromkeys(sorted(model.operator_fields))
    fixed |= {name: copy.deepcopy(model.model_fields[name].default) for name in sorted(model.template_fields)}
    for name in fixed:
        _declared(schema).pop(name)
    variables: JsonObject = {name: "{{ " + name + " }}" for name in _declared(schema)}
    return {"job_configuration": variables | fixed, "variables": schema}


def with_operator_fields(
    template: Mapping[str, JsonValue], model: type[ProcessConfiguration], values: Mapping[str, JsonValue]
) -> JsonObject:
    """A template in which the operator has set fields that are no job variables.

    Raises:
        Refused: queues of this type do not have such a field.
    """
    for name in values:
        if name not in model.operator_fields | model.template_fields:
            raise Refused(f"{model.work_pool_type} queues have no {name}", do="Leave it out")
    return {**template, "job_configuration": {**_part(template, "job_configuration"), **values}}


def with_defaults(template: Mapping[str, JsonValue], values: Mapping[str, JsonValue]) -> JsonObject:
    """A template whose job variables have these defaults.

    Raises:
        BadInput: a variable is unknown, ill-typed or out of its bounds; one line names it.
        Refused: a value holds a template macro.
    """
    check_variables(template, values)
    schema = _part(template, "variables")
    properties: JsonObject = {
        name: {**declared, "default": values[name]} if name in values and isinstance(declared, dict) else declared
        for name, declared in _declared(schema).items()
    }
    return {**template, "variables": {**schema, "properties": properties}}


def check_template(template: Mapping[str, JsonValue], model: type[ProcessConfiguration]) -> None:
    """Check what an operator wrote, when a queue is made and again for each run.

    Raises:
        BadInput: the template is malformed; one line says where.
        Refused: it wants what no queue may give (privileged, volumes, host namespaces …).
    """
    _check_size("the base job template", dict(template))
    _check_text(json.dumps(template), model)


@lru_cache(maxsize=64)
def _check_text(text: str, model: type[ProcessConfiguration]) -> None:
    """Check a template once: to prove a schema is a twentieth of all that an agent computes for a run."""
    template = cast("JsonObject", json.loads(text))
    configuration, schema = _part(template, "job_configuration"), _part(template, "variables")
    for key in configuration:
        if key not in model.model_fields:
            raise Refused(f"job_configuration sets {key!r}, which {model.work_pool_type} queues do not allow", do=_MEND)
    _check_operator_fields(configuration, model)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise BadInput(f"the template's variables are no JSON schema: {error.message[:200]}", do=_MEND) from error
    _check_placeholders(configuration, _declared(schema))
    _check_values(schema, _defaults(schema), "the default of job variable", required=False)


def merge_variables(template: Mapping[str, JsonValue], *layers: Mapping[str, JsonValue]) -> JsonObject:
    """Merge job variables, later layers over earlier ones (`env` name by name), and check them.

    Args:
        template: the queue's base job template; what it does not declare cannot be set.
        layers: e.g. the registered job's values, then the submitter's. A null takes a value back.

    Raises:
        BadInput: a variable is unknown, ill-typed or out of its bounds; one line names it.
        Refused: a value holds a template macro, which is never resolved here.
    """
    merged: JsonObject = {}
    for layer in layers:
        for name, value in layer.items():
            before = merged.get(name)
            both = isinstance(before, dict) and isinstance(value, dict)
            merged[name] = {**before, **value} if both else value  # pyright: ignore[reportGeneralTypeIssues] # both are
    check_variables(template, merged)
    return merged


def check_variables(template: Mapping[str, JsonValue], values: Mapping[str, JsonValue]) -> None:
    """Check job variables against what a template declares.

    Raises:
        BadInput: a variable is unknown, ill-typed or out of its bounds; one line names it.
        Refused: a value holds a template macro, which is never resolved here.
    """
    schema = _part(template, "variables")
    declared = _declared(schema)
    _check_size("the job variables", dict(values))
    for name, value in values.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            known = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(declared))}"
            raise BadInput(f"unknown job variable {name[:80]!r}", do=known)
        _refuse_macros(name, value)
    _check_values(schema, dict(values), "job variable", required=True)


def render_configuration(template: Mapping[str, JsonValue], values: Mapping[str, JsonValue], model: type[C]) -> C:
    """Put job variables into a queue's template: a placeholder is a whole value, and values are never templates.

    Args:
        template: the queue's base job template.
        values: job variables by name; those missing take the default that the template declares.
        model: `DockerConfiguration` or `ProcessConfiguration`, after the queue's type.

    Raises:
        BadInput: the template is malformed, or a variable unknown, ill-typed or out of bounds; one line names it.
        Refused: the template wants what no queue may give, or a value holds a template macro.
    """
    check_template(template, model)
    check_variables(template, values)
    known = {**_defaults(_part(template, "variables")), **values}
    rendered = {key: _fill(value, known) for key, value in _part(template, "job_configuration").items()}
    if rendered.get("network", "none") not in ("bridge", "none"):
        raise Refused(f"network {rendered['network']!r} is not allowed", do="Use bridge or none")
    return _validated(model, {key: value for key, value in rendered.items() if value is not None})


def _validated(model: type[C], values: JsonObject) -> C:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{model.work_pool_type} configuration {where!r}: {first['msg'][:200]}") from error


def _part(template: Mapping[str, JsonValue], key: str) -> JsonObject:
    part = template.get(key)
    if not isinstance(part, dict):
        raise BadInput(f"the base job template has no object {key!r}", do=_MEND)
    return part


def _declared(schema: JsonObject) -> JsonObject:
    """The declared variables: name → schema."""
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise BadInput("the template's variables have no object 'properties'", do=_MEND)
    return properties


def _defaults(schema: JsonObject) -> JsonObject:
    return {
        name: declared["default"]
        for name, declared in _declared(schema).items()
        if isinstance(declared, dict) and "default" in declared
    }


def _check_operator_fields(configuration: JsonObject, model: type[ProcessConfiguration]) -> None:
    """What the operator decides is a plain value, and one that the configuration takes."""
    for name in sorted(model.template_fields & configuration.keys()):
        _check_object(name, configuration[name])
    values = {name: configuration[name] for name in sorted(model.operator_fields) if name in configuration}
    for name, value in values.items():
        if any("{{" in text for text in _texts(value)):
            raise Refused(f"job_configuration {name!r} is a placeholder: no submitter may set it", do=_MEND)
    _validated(model, values)


def _check_object(name: str, value: JsonValue) -> None:
    """Job variables may stand in it as values; it is none itself, and none is a key of it."""
    if not isinstance(value, dict):
        raise Refused(f"job_configuration {name!r} is no object", do=f"{_MEND}: write it out")
    if key := next((key for key in _keys(value) if "{{" in key), None):
        raise BadInput(f"the placeholder {key[:80]!r} stands where a key should be", do=_MEND)


def _check_placeholders(configuration: JsonObject, declared: JsonObject) -> None:
    """Every placeholder names a variable, and every variable is used."""
    used: set[str] = set()
    for text in _texts(configuration):
        if "{{" not in text:
            continue
        match = _PLACEHOLDER.fullmatch(text)
        if not match:
            raise BadInput(f"{text[:80]!r} mixes a placeholder with text or names no variable", do=_MEND)
        if match[1] not in declared:
            raise BadInput(f"the placeholder {text!r} names no declared variable", do=_MEND)
        used.add(match[1])
    if unused := set(declared) - used:
        raise BadInput(f"the variable {min(unused)!r} is declared, but job_configuration does not use it", do=_MEND)


def _check_values(schema: JsonObject, values: JsonObject, what: str, *, required: bool) -> None:
    """Check against the schema, closed even if the operator left it open; remote references are never fetched."""
    closed: JsonObject = {**schema, "additionalProperties": False}
    if not required:
        closed.pop("required", None)
    validator = Draft202012Validator(closed, registry=Registry())
    try:
        found = validator.iter_errors(values)  # pyright: ignore[reportUnknownMemberType] # untyped
        error = cast("JsonSchemaError | None", best_match(found))
    except Unresolvable as missing:
        raise BadInput(f"the template's variables refer to {missing.ref!r}, which is not there", do=_MEND) from missing
    if error:
        path = [str(part) for part in error.absolute_path]
        declared = _declared(schema).get(path[0]) if path else None
        hint = declared.get("description") if isinstance(declared, dict) else None
        raise BadInput(f"{what} {'.'.join(path)!r}: {error.message[:200]}", do=str(hint or ""))


def _refuse_macros(name: str, value: JsonValue) -> None:
    """Refuse what Prefect's own workers and server would resolve: text here, a secret there (B59)."""
    for text in _texts(value):
        if text == "__prefect_kind" or _MACRO.search(text):
            raise Refused(
                f"job variable {name!r} holds a template macro", do="Values are taken as they are; write it out"
            )


def _texts(value: JsonValue) -> Iterator[str]:
    """Every string in a JSON value, keys included; without recursion, since the value may be deep."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _keys(value: JsonValue) -> Iterator[str]:
    """Every key in a JSON value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item
        pending.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())


def _fill(value: JsonValue, known: JsonObject) -> JsonValue:
    """Replace placeholders; what is put in is not looked at again."""
    if isinstance(value, str):
        match = _PLACEHOLDER.fullmatch(value)
        return known.get(match[1]) if match else value
    if isinstance(value, dict):
        return {key: _fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, known) for item in value]
    return value


def _check_size(what: str, value: JsonObject) -> None:
    """Refuse what is no JSON, or too large or deep to be looked at."""
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{what}: no plain JSON ({str(error)[:80]})") from error
    if size > _LARGEST:
        raise BadInput(f"{what}: {size} bytes are too many", do=f"Stay under {_LARGEST}")
