"""What W&B writes of commands, paths, names and types, in our words. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject, Option

_INTERPRETER = re.compile(r"(?:.*/)?python(?:C?Python)?\s*[0-9.]*")
_TAKES_VALUE = {"-W", "-X", "--check-hash-based-pycs"}
_OPTION = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*")
_NUMBER: list[JsonValue] = ["integer", "number"]
"""W&B's `number` is both: an int that came back as a float would break `range(config.epochs)`."""

_SIMPLE: dict[str, JsonValue] = {"string": "string", "number": _NUMBER, "boolean": "boolean", "none": "null"}

CONFIGURED = 'WANDB_LAUNCH=true WANDB_CONFIG="$LAUNCH_PARAMETERS" exec "$@"'
"""Gives the parameters to the program as W&B's own agent does; `wandb.init` merges them into the run's config."""


def entrypoint(words: Sequence[str]) -> tuple[str, ...]:
    """A command as ours: `python` for any Python (also `pythonCPython 3.11`, which clients since 0.19 write).

    Raises:
        BadInput: there is none, or it leaves the source.
    """
    if not words:
        raise BadInput("The job has no entry point", do="Write one: launch job import PATH -- CMD ARG...")
    for word in words:
        if ".." in word.split("/"):
            raise BadInput(f"The entry point's {word!r} leaves the source", do="Write another: … -- CMD ARG...")
    first = "python" if _INTERPRETER.fullmatch(words[0]) else words[0]
    if len(words) == 1 and first.endswith(".py"):
        return ("python", first)
    return (first, *words[1:])


def entry_file(words: Sequence[str]) -> str | None:
    """The file that a command starts, relative to the source; None for a module, code, or no file at all."""
    if not words:
        return None
    if not _INTERPRETER.fullmatch(words[0]):
        return words[0]
    rest = iter(words[1:])
    for word in rest:
        if word in ("-m", "-c", "-"):
            return None
        if word in _TAKES_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def code_path(program: str, root: str, started: str) -> str:
    """A program's path below the git root, from where Jupyter or Python was started.

    Args:
        program: relative to `started`, as the client saw it.
        root: the git root.
        started: where it was started, in the root or above.
    """
    absolute = posixpath.normpath(posixpath.join(started, program))
    return posixpath.relpath(absolute, root) if root else program


def command_of(metadata: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The command of a run.

    Raises:
        BadInput: no file or module was run (an interactive session), or a notebook.
    """
    program, path = _text(metadata.get("program")), _text(metadata.get("codePath"))
    arguments = [str(word) for word in cast("list[JsonValue]", metadata.get("args") or [])]
    if program.startswith("-m "):
        return ("python", "-m", program[3:].strip(), *arguments)
    path = path or _text(metadata.get("codePathLocal"))
    if not path and program and not program.startswith(("<", "/")):
        path = program
    if not path:
        do = "Write the command: launch job import PATH -- CMD ARG..."
        raise BadInput("The W&B run names no program of its source", do=do)
    if path.endswith((".ipynb", ".ipython")):
        raise notebook(path)
    return (*entrypoint(["python", path]), *arguments)


def notebook(path: str) -> BadInput:
    """The refusal of a notebook."""
    return BadInput(
        f"The entry point {path!r} is a notebook",
        do="Capture the notebook itself, or name a script: launch job import PATH -- python SCRIPT",
    )


def schema_of_type(kind: JsonValue) -> JsonObject:
    """A JSON schema for one of W&B's types; one that has none allows everything."""
    if not isinstance(kind, dict):
        return {}
    name, inner = kind.get("wb_type"), kind.get("params")
    given: JsonObject = inner if isinstance(inner, dict) else {}
    if isinstance(name, str) and name in _SIMPLE:
        return {"type": _SIMPLE[name]}
    if name == "list":
        items = schema_of_type(given.get("element_type"))
        return {"type": "array", **({"items": items} if items else {})}
    if name == "typedDict":
        return {"type": "object", "properties": _properties(given.get("type_map"))}
    if name == "union" and isinstance(allowed := given.get("allowed_types"), list):
        return _any_of([schema_of_type(one) for one in allowed])
    return {}


def _any_of(schemas: list[JsonObject]) -> JsonObject:
    """One of some schemas; as a list of types where that says it all, by which a typed value is read."""
    if not all(schemas):
        return {}
    types: list[JsonValue] = []
    for one in schemas:
        found = one.get("type")
        types += found if isinstance(found, list) else [found]
    if all(one.keys() == {"type"} for one in schemas):
        return {"type": [*dict.fromkeys(types)]}
    return {"anyOf": cast("list[JsonValue]", schemas)}


def inputs_of_types(types: JsonValue) -> Inputs:
    """The parameters that a job's `input_types` allow; none is required, for the program has its own defaults."""
    found = schema_of_type(types)
    properties = {name: one for name, one in cast("JsonObject", found.get("properties", {})).items() if name[:1] != "_"}
    return _inputs(properties, ())


def inputs_of_run(arguments: Sequence[str], config: Mapping[str, JsonValue]) -> tuple[Inputs, JsonObject]:
    """The parameters of a run, and their values: its long options, and what else its config holds.

    An option stays in the command; another value is written after it, and the last one counts. So flags, options that
    come twice and short ones are no parameters, but part of the command.
    """
    values = _options(arguments)
    properties: JsonObject = {name: {**_schema_of(value), "default": value} for name, value in values.items()}
    rest = {name: value for name, value in config.items() if name not in values and not _is_argument(name, arguments)}
    properties |= {name: _widened(_schema_of(value)) for name, value in rest.items() if name[:1] != "_"}
    flags = {_name(flag): flag for flag in _flags(arguments)}
    return _inputs(properties, tuple(Option(name=name, flag=flags[name]) for name in values)), {
        **values,
        **{name: value for name, value in rest.items() if name in properties},
    }


def _inputs(properties: JsonObject, options: tuple[Option, ...]) -> Inputs:
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    return Inputs(parameters_schema=schema, options=options)


def _properties(types: JsonValue) -> JsonObject:
    return {name: schema_of_type(one) for name, one in types.items()} if isinstance(types, dict) else {}


def _flags(arguments: Sequence[str]) -> list[str]:
    words = (word.partition("=")[0] for word in arguments)
    return [word for word in words if _OPTION.fullmatch(word)]


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _is_argument(name: str, arguments: Sequence[str]) -> bool:
    """Whether a config value came from an option that is no parameter, so that changing it would change nothing."""
    return name in {_name(flag) for flag in _flags(arguments)}


def _options(arguments: Sequence[str]) -> JsonObject:
    flags, found = _flags(arguments), dict[str, JsonValue]()
    for index, word in enumerate(arguments):
        flag, equals, text = word.partition("=")
        if flag not in flags or flags.count(flag) > 1:
            continue
        following = list(arguments[index + 1 : index + 3])
        if equals:
            found[_name(flag)] = _value(text)
        elif following and not _is_option(following[0]) and (len(following) < 2 or _is_option(following[1])):
            found[_name(flag)] = _value(following[0])
    return found


def _is_option(word: str) -> bool:
    return word.startswith("-") and not re.fullmatch(r"-[0-9.][0-9.eE+-]*", word)


def _value(text: str) -> JsonValue:
    if re.fullmatch(r"[+-]?[0-9]{1,15}", text):
        return int(text)
    if re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", text):
        return float(text)
    return text


def _schema_of(value: JsonValue) -> JsonObject:
    if isinstance(value, bool):
        return {"type": "boolean"}
    for kind, name in ((int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return {"type": name}
    return {}


def _widened(schema: JsonObject) -> JsonObject:
    """A config's number, which W&B lets be of either kind."""
    return {"type": _NUMBER} if schema.get("type") in _NUMBER else schema


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
