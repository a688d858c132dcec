"""Parameters to arguments: check values against a job's schema, and write them as its program's command line."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject, Option
from launch_jobs.names import canonical_json
from launch_jobs.plain_json import why_not_plain

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[-./][A-Za-z0-9_]+)*")
_CONSTANTS = ("True", "False", "None")
_LONGEST = 1 << 17  # bytes of one argument, its end included (MAX_ARG_STRLEN)
_SHOWN = 100
_ITS_NAME = len("LAUNCH_PARAMETERS=") + 1
_LIMITS = {
    **{"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"},
    **{"minItems": "at least", "maxItems": "at most"},
}
_KINDS = 6  # of JSON values
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def properties_of(inputs: Inputs) -> dict[str, JsonObject]:
    """Schema of each parameter, by name."""
    found = inputs.parameters_schema.get("properties", {})
    return cast("dict[str, JsonObject]", found)


def defaults_of(inputs: Inputs) -> JsonObject:
    """The value of each parameter that has a default."""
    return {name: schema["default"] for name, schema in properties_of(inputs).items() if "default" in schema}


def subcommands_of(inputs: Inputs) -> tuple[str, ...]:
    """The sub-commands that the program is always given, the outermost first."""
    return tuple(str(option.const) for option in inputs.options if option.action == "word")


def allowed_text(schema: JsonObject) -> str:
    """What values a parameter may have, in a few words: `number, at least 0`; nothing where it may be anything."""
    return "" if len(_types(schema)) >= _KINDS else _short(_allowed(schema).removeprefix("Allowed: "))


def check_parameters(inputs: Inputs, parameters: Mapping[str, JsonValue]) -> JsonObject:
    """The parameters that a run gets: those given, checked, over the defaults.

    Raises:
        BadInput: an unknown, missing, ill-typed or out-of-range parameter; names it and what is allowed.
    """
    properties = properties_of(inputs)
    for name in parameters:
        _known(properties, name)
    complete: JsonObject = defaults_of(inputs) | {
        name: _whole(properties[name], value) for name, value in parameters.items()
    }
    _check_plain(complete)
    errors = cast("Iterator[ValidationError]", Draft202012Validator(inputs.parameters_schema).iter_errors(complete))  # pyright: ignore[reportUnknownMemberType]  jsonschema has no types
    worst = min(errors, key=lambda error: [str(part) for part in error.absolute_path], default=None)
    if worst is not None:
        raise _refusal(properties, worst)
    in_files = {option.name for option in inputs.options if option.action == "file"}
    for name, value in complete.items():
        if name not in in_files and (value == "--" or (isinstance(value, list) and "--" in value)):
            raise BadInput(f"parameter {name!r}: argparse drops the value '--'", do="Use another one")
    return complete


def _check_plain(complete: JsonObject) -> None:
    """The program gets them as one environment variable too."""
    for name, value in complete.items():
        if why := why_not_plain(value):
            raise BadInput(f"parameter {name!r} cannot have this value: {why}", do="Give plain JSON, or text")
    if len(canonical_json(complete)) >= _LONGEST - _ITS_NAME:
        raise BadInput("the parameters are together longer than 128 KiB", do="Put data in a file, and give its name")


def complete_parameters(
    inputs: Inputs, captured: Mapping[str, JsonValue], given: Mapping[str, JsonValue]
) -> JsonObject:
    """All parameters of a run: those given, over the captured ones that the job still has, over the defaults.

    Raises:
        BadInput: as `check_parameters`.
    """
    properties = properties_of(inputs)
    kept = {name: value for name, value in captured.items() if name in properties}
    return check_parameters(inputs, {**kept, **given})


def parse_parameter_text(inputs: Inputs, name: str, text: str) -> JsonValue:
    """The value that `-p name=text` means, by the parameter's schema. Lists are written `a,b,c` or as JSON.

    Raises:
        BadInput: no such parameter, or the text is no value of its type.
    """
    schema = _known(properties_of(inputs), name)
    if text == "null" and "null" in _types(schema) and "string" not in _types(schema):
        return None
    if not _types(schema) and "enum" in schema:
        return _among(name, schema, text)
    if "array" in _types(schema) and all(kind in ("array", "null") for kind in _types(schema)):
        return _parse_list(name, schema, text)
    return _parse_scalar(name, schema, text)


def render_arguments(inputs: Inputs, parameters: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The arguments that give a program these parameters. A value equal to the default is left to the program.

    Options are written `--flag=value`, so that a value may begin with `-`; positionals come last, after `--`.

    Raises:
        BadInput: a value cannot be written as an argument (it holds a NUL character).
    """
    given = changed_parameters(inputs, parameters)
    words: list[str] = []
    for level in _levels(inputs.options):
        words += _written(level, given, parameters)
    return _checked(tuple(words))


def with_further(rendered: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    """Rendered arguments and words that a run adds: options go before the `--`, behind which they would be none."""
    if "--" not in rendered or not any(word.startswith("-") for word in further):
        return (*rendered, *further)
    place = len(rendered) - 1 - rendered[::-1].index("--")
    return (*rendered[:place], *further, *rendered[place:])


def changed_parameters(inputs: Inputs, parameters: Mapping[str, JsonValue]) -> JsonObject:
    """The parameters that are not their defaults: what the program must be told."""
    properties = properties_of(inputs)
    return {
        name: value
        for name, value in parameters.items()
        if "default" not in properties[name] or not _same(value, properties[name]["default"])
    }


def _levels(options: tuple[Option, ...]) -> list[list[Option]]:
    """The options of the program, then those of each sub-command, which begin with its word."""
    levels: list[list[Option]] = [[]]
    for option in options:
        levels += [[]] if option.action == "word" else []
        levels[-1].append(option)
    return levels


def _written(level: list[Option], given: JsonObject, parameters: Mapping[str, JsonValue]) -> list[str]:
    command = [str(option.const) for option in level if option.action == "word"]
    free = [option for option in level if option.action == "assign"]
    options = [option for option in level if option.flag is not None]
    rest = [option for option in level if option.flag is None and option.action in ("store", "literal")]
    places = sorted(rest, key=lambda option: option.position)
    written = [
        word for option in (*options, *free) if option.name in given for word in _words(option, given[option.name])
    ]
    # A default is left out only behind the last positional that is given: words find their place by counting.
    last = max((index for index, option in enumerate(places) if option.name in given), default=-1)
    trailing = [text for option in places[: last + 1] for text in _texts(parameters.get(option.name))]
    return [*command, *written, *(("--", *trailing) if trailing else ())]


def _words(option: Option, value: JsonValue) -> list[str]:
    flag = option.flag or ""
    texts = _texts(value)
    written: dict[str, list[str]] = {
        "flag": [flag] if _same(value, option.const) else [],
        "count": [flag] * value if isinstance(value, int) and option.action == "count" else [],
        "boolean": [flag if value else f"--no-{flag.removeprefix('--')}"],
        "append": [word for text in texts for word in _valued(option, flag, text)],
        "assign": [f"{option.name}={hydra_text(value)}"],
        "literal": [f"{flag}={_literal(value)}"],
        "store": _valued(option, flag, texts[0]) if len(texts) == 1 else [flag, *texts] if option.many else [],
    }
    return written[option.action]


def _valued(option: Option, flag: str, text: str) -> list[str]:
    return [flag, text] if option.separate else [f"{flag}={text}"]


def _literal(value: JsonValue) -> str:
    """As Python writes it; a text that cannot be taken for anything else, as it is."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _CONSTANTS else repr(value)


def hydra_text(value: JsonValue) -> str:
    """A value as Hydra's grammar for overrides reads it."""
    if isinstance(value, list):
        return "[" + ",".join(hydra_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{hydra_text(key)}:{hydra_text(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in ("null", "true", "false", "nan", "inf", "none"):
        return value
    # Only before a quote, and at the end, does a backslash mean anything.
    return "'" + re.sub(r"(\\*)('|$)", _escaped, value) + "'"


def _escaped(found: re.Match[str]) -> str:
    return found[1] * 2 + (f"\\{found[2]}" if found[2] else "")


def _texts(value: JsonValue) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [_text(value)]


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # argparse takes `-1e-05` for an option, and `-0.00001` for a number.
        return format(Decimal(repr(value)), "f") if value < 0 else repr(value)
    return json.dumps(value)


def _checked(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if "\0" in word:
            raise BadInput(f"the argument {word!r} holds a NUL character, which no program can be given")
        if len(word.encode(errors="surrogatepass")) >= _LONGEST:
            raise BadInput(
                f"the argument {word[:40]!r}… is longer than the 128 KiB that Linux gives a program",
                do="Put the value in a file, and give the file's name",
            )
    return words


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as JSON: `True` is not `1`."""
    return canonical_json(one) == canonical_json(other)


def _known(properties: Mapping[str, JsonObject], name: str) -> JsonObject:
    if name in properties:
        return properties[name]
    near = difflib.get_close_matches(name, properties, n=1)
    there = ", ".join(sorted(properties)) or "none: its argument list was captured whole"
    do = f"Did you mean {near[0]!r}?" if near else f"Parameters of this job: {there}"
    raise BadInput(f"there is no parameter {name!r}", do=do)


def _types(schema: JsonObject) -> list[JsonValue]:
    found = schema.get("type", [])
    return found if isinstance(found, list) else [found]


def _whole(schema: JsonObject, value: JsonValue) -> JsonValue:
    """JSON Schema takes 3.0 for an integer; `int("3.0")` does not."""
    if isinstance(value, float) and value.is_integer() and "integer" in _types(schema):
        return int(value)
    return value


def _parse_list(name: str, schema: JsonObject, text: str) -> JsonValue:
    if text.startswith("["):
        try:
            return cast("JsonValue", json.loads(text))
        except ValueError as error:
            raise BadInput(
                f"parameter {name!r}: {_short(repr(text))} is no list in JSON", do=_written_list(name, schema, text)
            ) from error
    items = cast("JsonObject", schema.get("items", {"type": "string"}))
    return [_parse_scalar(name, items, part) for part in text.split(",")] if text else []


def _written_list(name: str, schema: JsonObject, text: str) -> str:
    """How to write the list that was probably meant."""
    parts = [part.strip().strip("'\"") for part in text.strip("[]").split(",")]
    if not all(part and part.isprintable() for part in parts):
        return _allowed(schema)
    plain = f"Write {name}={','.join(parts)}"
    is_text = "string" in _types(cast("JsonObject", schema.get("items", {"type": "string"})))
    return _short(f"{plain} or '{name}={json.dumps(parts, ensure_ascii=False)}'" if is_text else plain)


def _parse_scalar(name: str, schema: JsonObject, text: str) -> JsonValue:
    types = _types(schema)
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
    return BadInput(f"parameter {name!r}: {_short(repr(text))} is not allowed", do=_allowed(schema))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _refusal(properties: Mapping[str, JsonObject], error: ValidationError) -> BadInput:
    path = [str(part) for part in error.absolute_path]
    if not path:
        required = cast("list[str]", error.validator_value) if error.validator == "required" else []
        missing = [name for name in required if name not in cast("JsonObject", error.instance)]
        return BadInput(f"parameter {missing[0]!r} is required" if missing else error.message)
    value = _short(json.dumps(error.instance))
    return BadInput(f"parameter {path[0]!r}: {value} is not allowed", do=_allowed(properties[path[0]]))


def _allowed(schema: JsonObject) -> str:
    if "enum" in schema:
        values = cast("list[JsonValue]", schema["enum"])
        return "Allowed: " + ", ".join(json.dumps(value) for value in values)
    parts = [" or ".join(str(kind) for kind in _types(schema))]
    if "items" in schema:
        parts.append("of " + _allowed(cast("JsonObject", schema["items"])).removeprefix("Allowed: "))
    if "minItems" in schema and schema["minItems"] == schema.get("maxItems"):
        parts.append(f"exactly {schema['minItems']}")
    else:
        parts += [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    return "Allowed: " + ", ".join(part for part in parts if part)
