"""What the tracker saw of an argparse parser, as data; and parsing a command line again with what it saw."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, cast

from pydantic import BaseModel, ConfigDict, JsonValue
from typing_extensions import override

from launch_jobs.capture.taken import Parsed, SeenArguments, WholeError
from launch_jobs.job import JsonObject

SUPPRESS = argparse.SUPPRESS
IGNORED = ("_HelpAction", "_VersionAction")
SUBCOMMANDS = "_SubParsersAction"
FLAGS = ("_StoreTrueAction", "_StoreFalseAction", "_StoreConstAction")
_KINDS = (
    *("_StoreAction", "_AppendAction", "_ExtendAction", "_CountAction", "BooleanOptionalAction", SUBCOMMANDS),
    *(*FLAGS, *IGNORED),
)


class SeenAction(BaseModel):
    """One argparse action. `const`, `default` and `choices` are unset where they were no plain data.

    Of sub-commands, `parsers` has those that the arguments may name.
    """

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
    parsers: dict[str, SeenParser] = {}

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


class SeenParser(SeenArguments):
    """The argparse parser that parsed the command's own arguments, and these arguments."""

    library: Literal["argparse"] = "argparse"
    prog: str = ""
    prefix_chars: str = "-"
    fromfile: bool = False
    abbreviations: bool = True
    actions: tuple[SeenAction, ...] = ()

    @property
    def own(self) -> list[SeenAction]:
        """The actions that are parameters."""
        return [action for action in self.actions if action.kind not in (*IGNORED, SUBCOMMANDS)]

    @property
    def inner(self) -> dict[str, SeenParser]:
        """The parsers of sub-commands."""
        return {word: one for action in self.actions for word, one in action.parsers.items()}


SeenAction.model_rebuild()

Level = tuple[str, SeenParser]
"""The word of a sub-command ("" for the program itself) and its parser."""


_BARE = object()
_ABSENT = object()
_WORDS = "\0words"


class _Parser(argparse.ArgumentParser):
    @override
    def error(self, message: str) -> NoReturn:
        raise WholeError(f"its arguments do not parse: {message}")


def levels_of(parser: SeenParser) -> list[Level]:
    """The program's parser, then those of the sub-commands that its arguments name.

    Raises:
        WholeError: as `parse_again`.
    """
    levels: list[Level] = [("", parser)]
    words = _parse(parser, parser.args)[2]
    while words:
        inner = levels[-1][1].inner.get(words[0])
        if inner is None:
            raise WholeError(f"its sub-command {words[0]} was not seen")
        levels.append((words[0], inner))
        words = _parse(inner, words[1:])[2]
    return levels


def parse_again(levels: Sequence[Level], args: Sequence[str]) -> Parsed:
    """Parse arguments as the seen parsers do, but for the program's own conversions: those stay text.

    Raises:
        WholeError: the arguments do not parse, ask for help, name another sub-command, or give a value that is no JSON.
    """
    values: JsonObject = {}
    rest: tuple[str, ...] = ()
    for index, (word, parser) in enumerate(levels):
        if index and args[:1] != [word]:
            raise WholeError(f"the sub-command {word} was written in another way")
        given, left, args = _parse(parser, args[1:] if index else args)
        values |= {name_of(levels, index, dest): value for dest, value in given.items()}
        rest += left
    return Parsed(values, rest)


def name_of(levels: Sequence[Level], index: int, dest: str) -> str:
    """The name of a level's parameter: its own, or `command.dest` where an outer level has that."""
    outer = {action.dest for _, parser in levels[:index] for action in parser.own}
    return f"{levels[index][0]}.{dest}" if dest in outer else dest


def _parse(parser: SeenParser, args: Sequence[str]) -> tuple[JsonObject, tuple[str, ...], list[str]]:
    """What one parser makes of its arguments: values, what it does not know, and the words of the sub-command."""
    rebuilt = _Parser(prog=parser.prog, add_help=False, allow_abbrev=parser.abbreviations)
    for action in parser.actions:
        _add(rebuilt, action)
    try:
        found, rest = rebuilt.parse_known_args(list(args))
    except (argparse.ArgumentError, TypeError, ValueError) as error:
        raise WholeError(f"its arguments do not parse: {error}") from error
    given: dict[str, Any] = {dest: value for dest, value in vars(found).items() if value is not _ABSENT}
    words = cast("list[str]", given.pop(_WORDS, None) or [])
    actions = {action.dest: action for action in reversed(parser.own)}
    if given.keys() - actions.keys():
        raise WholeError("it was asked for help or its version")
    return {dest: _value(actions[dest], value) for dest, value in given.items()}, tuple(rest), words


def _add(rebuilt: argparse.ArgumentParser, action: SeenAction) -> None:
    if action.kind not in _KINDS or (action.dest == SUPPRESS and action.kind not in (*IGNORED, SUBCOMMANDS)):
        raise WholeError(f"{action.flag or action.dest} is handled by {action.kind.removeprefix('argparse.')}")
    if action.kind == SUBCOMMANDS:
        rebuilt.add_argument(_WORDS, nargs=argparse.PARSER, default=_ABSENT).required = action.required
        return
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
