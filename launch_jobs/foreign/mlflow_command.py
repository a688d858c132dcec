"""An MLflow command with its `{parameters}`: the same words for a shell, which gets the values as its arguments. Pure.

MLflow writes each value, quoted, into the command's text and gives that to bash. Here the text is fixed: `{alpha}`
becomes `"${2-0.5}"`, and values come as arguments of the shell, so that no value is ever read as code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from pydantic import BaseModel, JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject, Option

_TYPES = {"float": "number", "double": "number", "number": "number", "int": "integer", "integer": "integer"}
_FIRST = 2
"""The shell's number of the first value: $0 is a name, and $1 the `--` that goes before positional arguments."""


class Parameter(BaseModel):
    """A parameter of an entry point."""

    type: str = "string"
    default: str | int | float | bool | None = None


def inputs_of(parameters: Mapping[str, Parameter]) -> Inputs:
    """The parameters of an entry point, in their order."""
    properties: JsonObject = {name: _schema(name, one) for name, one in parameters.items()}
    required: list[JsonValue] = [name for name, one in parameters.items() if one.default is None]
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    options = tuple(Option(name=name, flag=None, position=place) for place, name in enumerate(parameters))
    return Inputs(parameters_schema=schema, options=options)


def command_line(command: str, parameters: Mapping[str, Parameter], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The argument vector that runs a command as MLflow does.

    Args:
        command: with `{name}` for each parameter.
        parameters: those of the entry point, in their order.
        variables: environment variables to set.

    Raises:
        BadInput: the command names a parameter that is not declared.
    """
    numbers = {name: place for place, name in enumerate(parameters, _FIRST)}
    written = [f"export {name}={_quoted(value)};" for name, value in variables.items()]
    written.append(_substituted(command, parameters, numbers))
    return ("bash", "-c", " ".join(written), "mlflow")


def _substituted(command: str, parameters: Mapping[str, Parameter], numbers: Mapping[str, int]) -> str:
    text, quote = "", ""
    try:
        pieces = list(Formatter().parse(command))
    except ValueError as error:
        raise BadInput(f"The command {command!r} is no template: {error}", do="Mend MLproject") from error
    for literal, name, _, _ in pieces:
        text += literal
        quote = _open_quote(literal, quote)
        if name is None:
            continue
        if name not in parameters:
            raise BadInput(f"The command names {{{name}}}, which is no parameter", do="Declare it in MLproject")
        text += _value(numbers[name], parameters[name], quote)
    return text


def _value(number: int, parameter: Parameter, quote: str) -> str:
    default = "" if parameter.default is None else f"-{_default(_plain(parameter.default))}"
    value = f"${{{number}{default}}}"
    return {"": f'"{value}"', '"': value, "'": f"'\"{value}\"'"}[quote]


def _default(text: str) -> str:
    """A default inside `"${2-…}"`."""
    return re.sub(r'(["\\$`}])', r"\\\1", text)


def _open_quote(text: str, quote: str) -> str:
    """Which quote is open after a piece of shell text."""
    skip = False
    for char in text:
        if skip:
            skip = False
        elif char == "\\" and quote != "'":
            skip = True
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
    return quote


def _schema(name: str, parameter: Parameter) -> JsonObject:
    kind = _TYPES.get(parameter.type, "string")
    schema: JsonObject = {"type": kind}
    if parameter.type in ("path", "uri"):
        schema["description"] = f"MLflow type {parameter.type}"
    if parameter.default is not None:
        schema["default"] = _default_value(name, parameter, kind)
    return schema


def _default_value(name: str, parameter: Parameter, kind: str) -> JsonValue:
    text = _plain(parameter.default)
    try:
        return text if kind == "string" else int(text) if kind == "integer" else float(text)
    except ValueError as error:
        raise BadInput(f"MLproject: the default {text!r} of {name!r} is no {kind}", do="Mend MLproject") from error


def _plain(value: str | float | None) -> str:
    """As Python, and so MLflow, writes it."""
    return str(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
