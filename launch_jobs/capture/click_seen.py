"""What the tracker saw of a click or typer command, as data; and parsing a command line again with what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal, cast

import click
from pydantic import BaseModel, ConfigDict, JsonValue

from launch_jobs.capture.taken import Parsed, SeenArguments, WholeError
from launch_jobs.job import JsonObject

_COMPLETION = ("install_completion", "show_completion")


class SeenType(BaseModel):
    """What a parameter's type says: int, float, bool, str, tuple, or other; choices and bounds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = "other"
    choices: tuple[str, ...] | None = None
    exact: bool = True
    least: int | float | None = None
    most: int | float | None = None
    open: tuple[bool, bool] = (False, False)


class SeenParam(BaseModel):
    """One option or argument. `default` is unset where it was no plain data, `found` where nothing but arguments was.

    Attributes:
        flags: of an option; `off` are those that mean no.
        value: what a flag's presence means.
        source: where click had the value from, as COMMANDLINE, ENVIRONMENT, PROMPT.
        found: the value, where it came from neither the command line nor the default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    name: str
    flags: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    nargs: int = 1
    multiple: bool = False
    required: bool = False
    count: bool = False
    is_flag: bool = False
    optional_value: bool = False
    eager: bool = False
    exposed: bool = True
    help: str | None = None
    source: str = ""
    type: SeenType = SeenType()
    value: str | bool = True
    default: JsonValue = None
    found: JsonValue = None
    envvar: JsonValue = None

    @property
    def flag(self) -> str:
        """The flag to write: the first long one."""
        return next(iter([*(flag for flag in self.flags if flag.startswith("--")), *self.flags, *self.off]), self.name)

    @property
    def places(self) -> bool:
        """Whether it is found by its place among the words."""
        return self.kind == "argument"

    @property
    def many(self) -> bool:
        """Whether its value is a list."""
        return self.multiple or self.nargs != 1

    @property
    def ignored(self) -> bool:
        """Whether it is no parameter but a question, as --version is."""
        return self.name in _COMPLETION or (self.eager and not self.exposed)


class SeenLevel(BaseModel):
    """A command, or a group of which the next level is the sub-command."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    group: bool = False
    chain: bool = False
    interspersed: bool = True
    unknown: bool = False
    params: tuple[SeenParam, ...] = ()

    @property
    def known(self) -> list[SeenParam]:
        """Its parameters."""
        return [param for param in self.params if not param.ignored]


class SeenClick(SeenArguments):
    """The commands that the arguments named: the program's own first, the last sub-command last."""

    library: Literal["click"]
    levels: tuple[SeenLevel, ...]

    def name_of(self, index: int, name: str) -> str:
        """The name of a level's parameter: its own, or `command.name` where an outer level has that."""
        outer = {param.name for level in self.levels[:index] for param in level.known}
        return f"{self.levels[index].name}.{name}" if name in outer else name


def parse_again(seen: SeenClick, args: Sequence[str]) -> Parsed:
    """Parse arguments as the seen commands do, but for the program's own conversions: those stay text.

    Raises:
        WholeError: the arguments do not parse, name another sub-command, or give a value that is no JSON.
    """
    values: JsonObject = {}
    rest = list(args)
    for index, level in enumerate(seen.levels):
        if index and rest[:1] != [level.name]:
            raise WholeError(f"the sub-command {level.name} was written in another way")
        given, rest = _parse_level(level, rest[1:] if index else rest)
        params = {param.name: param for param in reversed(level.known)}
        for name, raw in given.items():
            if (value := _value(params[name], raw)) is not None:
                values[seen.name_of(index, name)] = value
    if rest:
        raise WholeError("the command takes further arguments of its own")
    return Parsed(values, ())


def _parse_level(level: SeenLevel, args: list[str]) -> tuple[dict[str, Any], list[str]]:
    command = click.Command(level.name, params=[_rebuilt(param) for param in level.known], add_help_option=False)
    context = click.Context(
        command,
        allow_extra_args=True,
        allow_interspersed_args=level.interspersed and not level.group,
        ignore_unknown_options=level.unknown,
    )
    try:
        given, rest, _ = command.make_parser(context).parse_args(args)
    except click.UsageError as error:
        raise WholeError(f"its arguments do not parse: {error.message}") from error
    return {name: value for name, value in given.items() if type(value) in (str, bool, int, list, tuple)}, rest


def _rebuilt(param: SeenParam) -> click.Parameter:
    if param.places:
        return click.Argument([param.name], type=str, nargs=param.nargs, required=False)
    flags = [f"{on}/{off}" if on and off else on or f" /{off}" for on, off in zip_longest(param.flags, param.off)]
    if param.is_flag and param.off:
        return click.Option([param.name, *flags], is_flag=True)
    if param.is_flag:
        return click.Option([param.name, *flags], is_flag=True, flag_value=param.value)
    if param.count:
        return click.Option([param.name, *flags], count=True)
    return click.Option([param.name, *flags], type=str, nargs=param.nargs, multiple=param.multiple)


def _value(param: SeenParam, raw: object) -> JsonValue:
    if isinstance(raw, (list, tuple)):
        items = cast("Sequence[object]", raw)
        # Of an argument that was not given, newer versions of click give a sign of their own.
        return [convert(param, item) for item in items if isinstance(item, str)]
    if param.places and param.nargs != 1:
        return None
    return convert(param, raw)


def convert(param: SeenParam, raw: object) -> JsonValue:
    """The value that a word means.

    Raises:
        WholeError: none that is JSON.
    """
    if not isinstance(raw, str) or param.is_flag:
        return cast("JsonValue", raw)
    try:
        if param.type.name == "int":
            return int(raw)
        if param.type.name == "float":
            return _finite(float(raw))
        if param.type.name == "bool":
            return bool(click.BOOL.convert(raw, None, None))
    except (ValueError, click.UsageError) as error:
        raise WholeError(f"{param.flag} has the value {raw!r}, which is no JSON") from error
    if param.type.choices and not param.type.exact:
        return next((choice for choice in param.type.choices if choice.lower() == raw.lower()), raw)
    return raw


def _finite(value: float) -> float:
    if value - value != 0:
        raise ValueError(value)
    return value
