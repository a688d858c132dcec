"""What the tracker saw of an argparse parser, as data; and parsing a command line again with what it saw."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from pydantic import BaseModel, ConfigDict, JsonValue
from typing_extensions import override

from launch_jobs.job import JsonObject

SUPPRESS = argparse.SUPPRESS
IGNORED = ("_HelpAction", "_VersionAction")
FLAGS = ("_StoreTrueAction", "_StoreFalseAction", "_StoreConstAction")


class WholeError(Exception):
    """The argument list cannot be taken apart and rendered again exactly; the message says why."""


class SeenAction(BaseModel):
    """One argparse action. `const`, `default` and `choices` are unset where they were no plain data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    dest: str
    flags: tuple[str, ...] = ()
    nargs: int | str | None = None
    type: str | None = None
    required: bool = False
    help: str | None = None
    restricted: bool = False
    const: JsonValue = None
    default: JsonValue = None
    choices: list[JsonValue] | None = None

    @property
    def many(self) -> bool:
        """Whether its value is a list."""
        return isinstance(self.nargs, int) or self.nargs in ("*", "+")

    @property
    def flag(self) -> str | None:
        """The flag to write: the first long one; None for a positional."""
        long = [flag for flag in self.flags if flag.startswith("--")]
        return next(iter([*long, *self.flags]), None)

    @property
    def has_default(self) -> bool:
        """Whether the default is known."""
        return "default" in self.model_fields_set and self.default != SUPPRESS


class SeenParser(BaseModel):
    """The parser that parsed the command's own arguments, and these arguments."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    args: tuple[str, ...]
    prog: str = ""
    prefix_chars: str = "-"
    fromfile: bool = False
    abbreviations: bool = True
    actions: tuple[SeenAction, ...] = ()

    def is_of(self, argv: tuple[str, ...]) -> bool:
        """Whether it parsed the end of a command."""
        return not self.args or argv[-len(self.args) :] == self.args


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a command line gives.

    Attributes:
        values: the parameters that it names.
        rest: the arguments that the parser does not know, in their order.
    """

    values: JsonObject
    rest: tuple[str, ...]


_BARE = object()
_ABSENT = object()


class _Parser(argparse.ArgumentParser):
    @override
    def error(self, message: str) -> NoReturn:
        raise WholeError(f"its arguments do not parse: {message}")


def parse_again(parser: SeenParser, args: Sequence[str]) -> Parsed:
    """Parse arguments as the seen parser does, but for the program's own conversions: those stay text.

    Raises:
        WholeError: the arguments do not parse, ask for help, or give a value that is no JSON.
    """
    rebuilt = _Parser(prog=parser.prog, add_help=False, allow_abbrev=parser.abbreviations)
    for action in parser.actions:
        _add(rebuilt, action)
    try:
        found, rest = rebuilt.parse_known_args(list(args))
    except (argparse.ArgumentError, TypeError, ValueError) as error:
        raise WholeError(f"its arguments do not parse: {error}") from error
    given: dict[str, Any] = {dest: value for dest, value in vars(found).items() if value is not _ABSENT}
    actions = {action.dest: action for action in reversed(parser.actions) if action.kind not in IGNORED}
    if given.keys() - actions.keys():
        raise WholeError("it was asked for help or its version")
    return Parsed({dest: _value(actions[dest], value) for dest, value in given.items()}, tuple(rest))


def _add(rebuilt: argparse.ArgumentParser, action: SeenAction) -> None:
    name = action.flags or (action.dest,)
    kind = action.kind.strip("_").removesuffix("Action")
    # No default is known here: only what the command line gives appears. (SUPPRESS would go through `type`.)
    options: dict[str, Any] = {
        "default": SUPPRESS if kind in ("Append", "Extend", "Count", "Help", "Version") else _ABSENT
    }
    if action.flags:
        options["dest"] = f"\0{action.dest}" if action.kind in IGNORED else action.dest
    if kind in ("Help", "Version", "StoreTrue", "StoreFalse", "StoreConst", "Count"):
        written = {"Help": "count", "Version": "count", "Count": "count"}.get(kind, "store_const")
        options |= {"action": written} | ({"const": action.const} if written == "store_const" else {})
    elif kind == "BooleanOptional":
        options["action"] = argparse.BooleanOptionalAction
        name = tuple(flag for flag in name if not flag.startswith("--no-"))
    else:
        options |= {"action": kind.lower(), "nargs": action.nargs, "type": _converter(action)}
        options |= {"const": _BARE} if action.nargs == "?" and action.flags else {}
    rebuilt.add_argument(*name, **options)


def _converter(action: SeenAction) -> type[int | float | str]:
    return {"int": int, "float": float}.get(action.type or "", str)


def _value(action: SeenAction, value: Any) -> JsonValue:
    if value is _BARE:
        if "const" not in action.model_fields_set:
            raise WholeError(f"{action.flag} without a value means something that is no JSON")
        return action.const
    items = cast("list[JsonValue]", value if isinstance(value, list) else [value])
    if any(isinstance(item, float) and item - item != 0 for item in items):
        raise WholeError(f"{action.flag or action.dest} is infinite or not a number, and JSON has neither")
    return cast("JsonValue", value)
