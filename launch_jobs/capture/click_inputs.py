"""From a click or typer command that was seen to a job's inputs: schema, options and captured values."""

from __future__ import annotations

import inspect
from typing import cast

from pydantic import JsonValue

from launch_jobs.capture.click_seen import SeenClick, SeenLevel, SeenParam, convert, parse_again
from launch_jobs.capture.taken import Parsed, Taken, WholeError, proven
from launch_jobs.job import Inputs, JsonObject, Option

_TYPES = {"int": "integer", "float": "number", "bool": "boolean"}
_SEEN = ("", "COMMANDLINE", "DEFAULT")


def take_click(seen: SeenClick) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they cannot be rendered again exactly.
    """
    for level in seen.levels:
        _check_level(level, last=level is seen.levels[-1])
    inputs = _inputs(seen)
    values = parse_again(seen, seen.args).values
    notes: list[str] = []
    outside: JsonObject = {}
    for index, level in enumerate(seen.levels):
        for param in (each for each in level.known if each.source not in _SEEN):
            name = seen.name_of(index, param.name)
            if "found" in param.model_fields_set and param.found is not None:
                outside[name] = param.found
            else:
                notes.append(_missing(param))
    taken = proven(inputs, Parsed({**outside, **values}, ()), lambda words: parse_again(seen, words))
    return Taken(taken.inputs, taken.values, (), tuple(notes))


def _missing(param: SeenParam) -> str:
    where = f"the variable {param.envvar}" if isinstance(param.envvar, str) else param.source.lower().replace("_", " ")
    return f"The value of {param.flag} came from {where} and is not in the job: give it to the run."


def _check_level(level: SeenLevel, *, last: bool) -> None:
    if level.chain:
        raise WholeError(f"{level.name} takes several sub-commands in one command line")
    places = [param for param in level.known if param.places]
    if places and not last:
        raise WholeError(f"{level.name} takes arguments before its sub-command")
    if sum(param.nargs < 0 for param in places) > 1:
        raise WholeError("several arguments are of open length")
    for param in level.known:
        if not all(flag.startswith("-") for flag in (*param.flags, *param.off)) and not param.places:
            raise WholeError(f"{param.flag} begins with another sign than -")
        if param.optional_value or (param.multiple and param.nargs != 1):
            raise WholeError(f"{param.flag} takes values in a way of its own")


def _inputs(seen: SeenClick) -> Inputs:
    properties: dict[str, JsonValue] = {}
    required: list[JsonValue] = []
    options: list[Option] = []
    for index, level in enumerate(seen.levels):
        if index:
            options.append(Option(name=level.name, flag=None, action="word", const=level.name))
        groups: dict[str, list[SeenParam]] = {}
        for param in level.known:
            groups.setdefault(seen.name_of(index, param.name), []).append(param)
        for name, group in groups.items():
            properties[name] = _schema(group) | _texts(name, group[0])
            required += [name] if group[0].required and "default" not in cast("JsonObject", properties[name]) else []
            options += _options(name, group, len(options))
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    return Inputs(parameters_schema={**schema, "required": required} if required else schema, options=tuple(options))


# --- schema ---------------------------------------------------------------------------------------------------------


def _schema(group: list[SeenParam]) -> JsonObject:
    param = group[0]
    if len(group) > 1 and not all(each.is_flag and not each.off for each in group):
        raise WholeError(f"several options set {param.name}")
    if param.is_flag:
        return _flag_schema(group)
    if param.count:
        return {"type": "integer", "minimum": 0, "default": param.default if isinstance(param.default, int) else 0}
    if not param.many:
        return _with_default(_scalar(param), param)
    schema: JsonObject = {"type": "array", "items": _scalar(param)}
    if param.nargs > 1:
        schema |= {"minItems": param.nargs, "maxItems": param.nargs}
    elif param.required:
        schema["minItems"] = 1
    return _with_default(schema, param)


def _scalar(param: SeenParam) -> JsonObject:
    kind = param.type
    if kind.choices:
        return {"type": "string", "enum": [*kind.choices]}
    schema: JsonObject = {"type": _TYPES.get(kind.name, "string")}
    for limit, word, is_open in zip((kind.least, kind.most), ("inimum", "aximum"), kind.open, strict=True):
        if limit is not None:
            first = "m" if not is_open else "exclusiveM"
            schema[first + word] = limit
    return schema


def _flag_schema(group: list[SeenParam]) -> JsonObject:
    param = group[0]
    if all(isinstance(each.value, bool) for each in group):
        known = "default" in param.model_fields_set
        schema: JsonObject = {"type": "boolean"}
        return {**schema, "default": bool(param.default)} if known else schema
    values: list[JsonValue] = [each.value for each in group]
    given = [each.value if each.default is True else each.default for each in group if each.default is not None]
    default = given[0] if given else None
    return {"enum": values if default in values else [*values, default], "default": default}


def _with_default(schema: JsonObject, param: SeenParam) -> JsonObject:
    if "default" not in param.model_fields_set or (param.required and param.default is None):
        return schema
    if param.default is None and param.many and param.nargs in (1, -1):
        return {**schema, "default": []}
    if param.default is None:
        nullable: JsonObject = {**schema, "type": [schema["type"], "null"], "default": None}
        if "enum" in schema:
            nullable["enum"] = [*cast("list[JsonValue]", schema["enum"]), None]
        return nullable
    default = _default(param)
    return schema if default is None else {**schema, "default": default}


def _default(param: SeenParam) -> JsonValue:
    """The default as the type makes it; None where that is unknown."""
    given = param.default if isinstance(param.default, list) else [param.default]
    try:
        items = [convert(param, item) for item in given]
    except WholeError:
        return None
    kinds = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(param.type.name, (str,))
    if any(not isinstance(item, kinds) or isinstance(item, bool) != (kinds == (bool,)) for item in items):
        return None
    if param.type.choices and not all(item in param.type.choices for item in items):
        return None
    if param.many:
        return None if param.nargs > 1 and len(items) != param.nargs else items
    return items[0] if len(items) == 1 else None


def _texts(name: str, param: SeenParam) -> JsonObject:
    texts: JsonObject = {"title": name}
    return {**texts, "description": inspect.cleandoc(param.help)} if param.help else texts


# --- options --------------------------------------------------------------------------------------------------------


def _options(name: str, group: list[SeenParam], position: int) -> list[Option]:
    param = group[0]
    if param.places:
        return [Option(name=name, flag=None, many=param.many, position=position)]
    if param.is_flag:
        found = [Option(name=name, flag=each.flag, action="flag", const=each.value) for each in group if each.flags]
        off = next(iter([*(flag for flag in param.off if flag.startswith("--")), *param.off]), None)
        return [*found, *([Option(name=name, flag=off, action="flag", const=False)] if off else [])]
    if param.count:
        return [Option(name=name, flag=param.flag, action="count")]
    separate = not param.flag.startswith("--")
    if param.multiple:
        return [Option(name=name, flag=param.flag, action="append", separate=separate)]
    return [Option(name=name, flag=param.flag, many=param.many, separate=separate)]
