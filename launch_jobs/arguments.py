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
    return "" if len(types_of(schema)) >= _KINDS else short(allowed_values(schema).removeprefix("Allowed: "))


def check_parameters(inputs: Inputs, parameters: Mapping[str, JsonValue]) -> JsonObject:
    """The parameters that a run gets: those given, checked, over the defaults.

    Raises:
        BadInput: an unknown, missing, ill-typed or out-of-range parameter; names it and what is allowed.
    """
    properties = properties_of(inputs)
    for name in parameters:
        known_schema(properties, name)
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


def known_schema(properties: Mapping[str, JsonObject], name: str) -> JsonObject:
    """The schema of a parameter.

    Raises:
        BadInput: there is none of that name.
    """
    if name in properties:
        return properties[name]
    near = difflib.get_close_matches(name, properties, n=1)
    there = ", ".join(sorted(properties)) or "none: its argument list was captured whole"
    do = f"Did you mean {near[0]!r}?" if near else f"Parameters of this job: {there}"
    raise BadInput(f"there is no parameter {name!r}", do=do)


def types_of(schema: JsonObject) -> list[JsonValue]:
    """The JSON types that a schema names; none: any."""
    found = schema.get("type", [])
    return found if isinstance(found, list) else [found]


def _whole(schema: JsonObject, value: JsonValue) -> JsonValue:
    """JSON Schema takes 3.0 for an integer; `int("3.0")` does not."""
    if isinstance(value, float) and value.is_integer() and "integer" in types_of(schema):
        return int(value)
    return value


def short(text: str) -> str:
    """A text, cut so that a message stays a line."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _refusal(properties: Mapping[str, JsonObject], error: ValidationError) -> BadInput:
    path = [str(part) for part in error.absolute_path]
    if not path:
        required = cast("list[str]", error.validator_value) if error.validator == "required" else []
        missing = [name for name in required if name not in cast("JsonObject", error.instance)]
        return BadInput(f"parameter {missing[0]!r} is required" if missing else error.message)
    value = short(json.dumps(error.instance))
    return BadInput(f"parameter {path[0]!r}: {value} is not allowed", do=allowed_values(properties[path[0]]))


def allowed_values(schema: JsonObject) -> str:
    """What a message tells to do about a wrong value: `Allowed: number, at least 0`."""
    if "enum" in schema:
        values = cast("list[JsonValue]", schema["enum"])
        return "Allowed: " + ", ".join(json.dumps(value) for value in values)
    parts = [" or ".join(str(kind) for kind in types_of(schema))]
    if "items" in schema:
        parts.append("of " + allowed_values(cast("JsonObject", schema["items"])).removeprefix("Allowed: "))
    if "minItems" in schema and schema["minItems"] == schema.get("maxItems"):
        parts.append(f"exactly {schema['minItems']}")
    else:
        parts += [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    return "Allowed: " + ", ".join(part for part in parts if part)
