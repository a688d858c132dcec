"""From absl flags that were seen to a job's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from launch_jobs.capture.taken import Parsed, SeenArguments, Taken, WholeError, proven
from launch_jobs.job import Inputs, JsonObject, Option

_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")


class SeenFlag(BaseModel):
    """One flag. `default` is unset where it was no plain data; `own` is false of those that absl itself brings."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    short: str | None = None
    own: bool = True
    boolean: bool = False
    multiple: bool = False
    kinds: tuple[str, ...] = ()
    help: str | None = None
    default: JsonValue = None
    least: int | float | None = None
    most: int | float | None = None
    choices: tuple[str, ...] | None = None

    @property
    def type(self) -> str:
        """Its type in a JSON schema; lists are texts with commas."""
        names = {"IntegerParser": "integer", "FloatParser": "number", "BooleanParser": "boolean"}
        return next((names[kind] for kind in self.kinds if kind in names), "string")


class SeenFlags(SeenArguments):
    """All flags when the command line was parsed."""

    library: Literal["absl"]
    flags: tuple[SeenFlag, ...]


def take_absl(seen: SeenFlags) -> Taken:
    """Take the arguments of a command apart.

    Raises:
        WholeError: they cannot be rendered again exactly.
    """
    parsed = _parse(seen, seen.args)
    return proven(_inputs(seen), parsed, lambda words: _parse(seen, [*parsed.rest, *words]))


def _parse(seen: SeenFlags, args: Sequence[str]) -> Parsed:
    values: JsonObject = {}
    rest: list[str] = []
    words = list(args)
    while words:
        flag, text, used = _next(seen, words)
        if not flag.own:
            rest += words[:used]
        elif flag.multiple:
            before = values.get(flag.name)
            values[flag.name] = [*(before if isinstance(before, list) else []), _convert(flag, text)]
        else:
            values[flag.name] = _convert(flag, text)
        words = words[used:]
    return Parsed(values, tuple(rest))


def _next(seen: SeenFlags, words: list[str]) -> tuple[SeenFlag, str, int]:
    """The flag that comes first, its value as text, and how many words that are."""
    if not words[0].startswith("-") or not words[0].strip("-"):
        raise WholeError("the command takes further arguments of its own")
    name, equals, text = words[0].lstrip("-").partition("=")
    names = {flag.name: flag for flag in seen.flags} | {flag.short: flag for flag in seen.flags if flag.short}
    flag = names.get(name)
    if flag is None and not equals and name.startswith("no") and (off := names.get(name[2:])) and off.boolean:
        return off, "false", 1
    if flag is None or flag.name in ("flagfile", "undefok"):
        raise WholeError(f"the flag --{name} was not seen, or brings others")
    if equals:
        return flag, text, 1
    if flag.boolean:
        return flag, "true", 1
    if len(words) < 2:
        raise WholeError(f"--{name} has no value")
    return flag, words[1], 2


def _convert(flag: SeenFlag, text: str) -> JsonValue:
    try:
        if flag.type == "integer":
            return int(text, 0 if text.startswith(("0x", "0o", "-0x", "-0o")) else 10)
        if flag.type == "number":
            value = float(text)
            if value - value != 0:
                raise ValueError(text)
            return value
        if flag.type == "boolean":
            return (*_TRUE, *_FALSE).index(text.lower()) < len(_TRUE)
    except ValueError as error:
        raise WholeError(f"--{flag.name} has the value {text!r}, which is no JSON") from error
    return text


def _inputs(seen: SeenFlags) -> Inputs:
    own = [flag for flag in seen.flags if flag.own]
    options: list[Option] = []
    for flag in own:
        if flag.boolean:
            options.append(Option(name=flag.name, flag=f"--{flag.name}", action="flag"))
            options.append(Option(name=flag.name, flag=f"--no{flag.name}", action="flag", const=False))
        else:
            options.append(Option(name=flag.name, flag=f"--{flag.name}", action="append" if flag.multiple else "store"))
    properties: dict[str, JsonValue] = {flag.name: _schema(flag) for flag in own}
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    return Inputs(parameters_schema=schema, options=tuple(options))


def _schema(flag: SeenFlag) -> JsonObject:
    one: JsonObject = {"type": flag.type}
    for word, limit in (("minimum", flag.least), ("maximum", flag.most)):
        if limit is not None:
            one[word] = limit
    if flag.choices:
        one["enum"] = [*flag.choices]
    schema: JsonObject = {"type": "array", "items": one, "minItems": 1} if flag.multiple else one
    schema["title"] = flag.name
    if flag.help:
        schema["description"] = flag.help
    return _with_default(schema, flag)


def _with_default(schema: JsonObject, flag: SeenFlag) -> JsonObject:
    if "default" not in flag.model_fields_set:
        return schema
    if flag.default is None:
        enum = schema.get("enum")
        more: JsonObject = {"enum": [*enum, None]} if isinstance(enum, list) else {}
        return {**schema, **more, "type": [schema["type"], "null"], "default": None}
    if isinstance(flag.default, list) and not flag.multiple:
        return {**schema, "default": ",".join(map(str, flag.default))}
    return {**schema, "default": flag.default}
