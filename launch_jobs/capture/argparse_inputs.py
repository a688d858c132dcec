"""From an argparse parser that was seen to a job's inputs: schema, options, captured values, and the bare command."""

from __future__ import annotations

import re
from typing import cast

from pydantic import JsonValue

from launch_jobs.capture.parser import (
    FLAGS,
    SUPPRESS,
    Level,
    SeenAction,
    SeenParser,
    levels_of,
    name_of,
    parse_again,
)
from launch_jobs.capture.taken import Taken, WholeError, proven
from launch_jobs.job import Inputs, JsonObject, Option
from launch_jobs.names import canonical_json

_NUMBER = re.compile(r"^-\d+$|^-\d*\.\d+$")
_NO_OPTION = r"^(?!-)|^-\d+$|^-\d*\.\d+$"
"""A word that argparse takes for a value where it could be an option (its own rule for negative numbers)."""

_TYPES = {"int": "integer", "float": "number"}


def take_argparse(parser: SeenParser) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they cannot be rendered again exactly.
    """
    levels = levels_of(parser)
    inputs = inputs_of(*levels)
    parsed = parse_again(levels, parser.args)
    places = any(option.flag is None for option in inputs.options)
    if places and any(not word.startswith("-") for word in parsed.rest):  # it would be taken for one of them
        raise WholeError("the parser left some positional arguments")
    return proven(inputs, parsed, lambda words: parse_again(levels, [*parsed.rest, *words]))


def inputs_of(*levels: Level) -> Inputs:
    """The inputs that a parser, and those of the sub-commands after it, describe.

    Raises:
        WholeError: some action cannot be rendered again exactly.
    """
    properties: dict[str, JsonValue] = {}
    required: list[str] = []
    options: list[Option] = []
    for index, (word, parser) in enumerate(levels):
        _check_parser(parser, parser.own, last=index == len(levels) - 1)
        options += [Option(name=word, flag=None, action="word", const=word)] if index else []
        groups: dict[str, list[SeenAction]] = {}
        for action in parser.own:
            groups.setdefault(action.dest, []).append(action)
        for dest, group in groups.items():
            name = name_of(levels, index, dest)
            properties[name] = _schema(group) | {"title": name} | _texts(group[0], parser.prog)
            required += [name] if _required(group) else []
        options += [
            option.model_copy(update={"name": name_of(levels, index, option.name)})
            for option in _options(groups, parser.own)
        ]
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = [*sorted(required)]
    return Inputs(parameters_schema=schema, options=tuple(options))


def _check_parser(parser: SeenParser, actions: list[SeenAction], *, last: bool) -> None:
    if parser.prefix_chars != "-" or parser.fromfile:
        raise WholeError("its options begin with other signs than -, or come from files")
    for action in actions:
        if any(_NUMBER.match(flag) or "=" in flag for flag in action.flags):
            raise WholeError(f"the option {action.flag} reads as a value")
    if not last and any(not action.flags or action.nargs in ("*", "+") for action in actions):
        raise WholeError("it takes arguments of open length, or without an option, before its sub-command")
    places = [action.nargs for action in actions if not action.flags]
    if sum(nargs in ("?", "*", "+") for nargs in places) > 1:
        raise WholeError("several positional arguments are of open length")
    for dest in {action.dest for action in actions}:
        kinds = [action.kind for action in actions if action.dest == dest]
        if len(kinds) > 1 and not all(kind in FLAGS for kind in kinds):
            raise WholeError(f"several options set {dest}")


def _required(group: list[SeenAction]) -> bool:
    if group[0].flags:
        return len(group) == 1 and group[0].required
    return group[0].nargs not in ("?", "*")


# --- schema ---------------------------------------------------------------------------------------------------------


def _schema(group: list[SeenAction]) -> JsonObject:
    action = group[0]
    if action.kind in FLAGS:
        return _flag_schema(group)
    if action.kind == "BooleanOptionalAction":
        return _with_default({"type": "boolean"}, action)
    if action.kind == "_CountAction":
        return _count_schema(action)
    if action.kind in ("_AppendAction", "_ExtendAction"):
        return _append_schema(action)
    if action.nargs is None or action.nargs == "?":
        return _with_default(_scalar(action), action)
    if action.many:
        return _with_default(_list_schema(action), action)
    raise WholeError(f"{action.flag or action.dest} takes the rest of the command line")


def _scalar(action: SeenAction) -> JsonObject:
    kind = _TYPES.get(action.type or "", "string")
    # What a conversion of the program makes of a text is unknown: so are the texts behind its choices.
    values = action.choices if action.restricted and action.type in (None, "str", "int", "float") else None
    if values and all(_is(kind, value) for value in values):
        return {"type": kind, "enum": [*values]}
    if kind == "string" and action.flags and action.many and action.nargs != 1:
        return {"type": kind, "pattern": _NO_OPTION}
    return {"type": kind}


def _is(kind: str, value: JsonValue) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)


def _list_schema(action: SeenAction) -> JsonObject:
    schema: JsonObject = {"type": "array", "items": _scalar(action)}
    if isinstance(action.nargs, int):
        schema |= {"minItems": action.nargs, "maxItems": action.nargs}
    elif action.nargs == "+" and action.default != []:
        schema["minItems"] = 1
    return schema


def _append_schema(action: SeenAction) -> JsonObject:
    fits = action.nargs is None if action.kind == "_AppendAction" else action.nargs in ("+", "*")
    if not fits or not action.has_default or action.default:
        raise WholeError(f"{action.flag} adds to what it has in a way of its own")
    single = action.model_copy(update={"nargs": None})  # each item is written by itself, as --flag=value
    schema: JsonObject = {"type": "array", "items": _scalar(single)}
    if action.default is None:
        schema["minItems"] = 1
    return _with_default(schema, action)


def _count_schema(action: SeenAction) -> JsonObject:
    if not action.has_default or action.default not in (None, 0):
        raise WholeError(f"{action.flag} counts from another number than 0")
    return _with_default({"type": "integer", "minimum": 1 if action.default is None else 0}, action)


def _flag_schema(group: list[SeenAction]) -> JsonObject:
    if any("const" not in action.model_fields_set for action in group):
        raise WholeError(f"{group[0].flag} stands for something that is no JSON")
    known = group[0].has_default
    reachable = [*(action.const for action in group), *([group[0].default] if known else [])]
    values = list({canonical_json(value): value for value in reachable}.values())
    boolean = {canonical_json(value) for value in values} == {b"true", b"false"}
    schema: JsonObject = {"type": "boolean"} if boolean else {"enum": values}
    return {**schema, "default": group[0].default} if known else schema


def _with_default(schema: JsonObject, action: SeenAction) -> JsonObject:
    """Add the default, where it is known and of the type; None means that the parameter may stay away."""
    if not action.has_default or _required([action]):
        return schema
    if action.default is not None:
        default = _converted(action)
        return {**schema, "default": default} if _fits(schema, default) else schema
    if not action.flags and action.nargs == "*":
        return {**schema, "default": []}
    nullable: JsonObject = {**schema, "type": [schema["type"], "null"], "default": None}
    if "enum" in schema:
        nullable["enum"] = [*cast("list[JsonValue]", schema["enum"]), None]
    return nullable


def _converted(action: SeenAction) -> JsonValue:
    """argparse converts a default that is a text, as if it had been given."""
    if not isinstance(action.default, str) or action.type not in _TYPES:
        return action.default
    try:
        return int(action.default) if action.type == "int" else float(action.default)
    except ValueError:
        return action.default


def _fits(schema: JsonObject, value: JsonValue) -> bool:
    if schema["type"] == "array":
        items = cast("JsonObject", schema["items"])
        length = range(cast("int", schema.get("minItems", 0)), cast("int", schema.get("maxItems", 1 << 30)) + 1)
        return isinstance(value, list) and len(value) in length and all(_fits(items, item) for item in value)
    allowed = cast("list[JsonValue]", schema.get("enum", [value]))
    return _is(cast("str", schema["type"]), value) and value in allowed


def _texts(action: SeenAction, prog: str) -> JsonObject:
    described: JsonObject = {}
    if action.help and action.help != SUPPRESS:
        shown = {
            "prog": prog,
            "default": action.default,
            "dest": action.dest,
            "type": action.type,
            "nargs": action.nargs,
        }
        try:
            described["description"] = action.help % (shown | {"choices": action.choices, "const": action.const})
        except (KeyError, TypeError, ValueError):
            described["description"] = action.help
    return described


# --- options --------------------------------------------------------------------------------------------------------


def _options(groups: dict[str, list[SeenAction]], actions: list[SeenAction]) -> list[Option]:
    places = [action.dest for action in actions if not action.flags]
    found: list[Option] = []
    for dest, group in groups.items():
        consts: set[bytes] = set()
        for action in group:
            if action.kind in FLAGS and canonical_json(action.const) in consts:
                continue  # a second flag of the same meaning
            consts.add(canonical_json(action.const))
            found.append(_option(action, places.index(dest) if dest in places else 0))
    return found


def _option(action: SeenAction, position: int) -> Option:
    if action.kind in FLAGS:
        return Option(name=action.dest, flag=action.flag, action="flag", const=action.const)
    if action.kind == "BooleanOptionalAction":
        return Option(name=action.dest, flag=action.flag, action="boolean")
    if action.kind == "_CountAction":
        return Option(name=action.dest, flag=action.flag, action="count")
    if action.kind in ("_AppendAction", "_ExtendAction"):
        return Option(name=action.dest, flag=action.flag, action="append", many=action.kind == "_ExtendAction")
    return Option(name=action.dest, flag=action.flag, many=action.many, position=position)
