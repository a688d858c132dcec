"""A command line taken apart, whatever parser it was for: what it gives, and the proof of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from launch_jobs.arguments import check_parameters, defaults_of, render_arguments
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject
from launch_jobs.names import canonical_json


class WholeError(Exception):
    """The argument list cannot be taken apart and rendered again exactly; the message says why."""


class SeenArguments(BaseModel):
    """The arguments that a parser was seen to parse."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    args: tuple[str, ...]

    def is_of(self, argv: tuple[str, ...]) -> bool:
        """Whether they are the end of a command."""
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


@dataclass(frozen=True, slots=True)
class Taken:
    """A command line taken apart.

    Attributes:
        inputs: schema and options.
        values: what this run had, by parameter name, defaults included.
        rest: the arguments that the inputs do not cover.
        notes: what the arguments do not tell.
    """

    inputs: Inputs
    values: JsonObject
    rest: tuple[str, ...]
    notes: tuple[str, ...] = ()


def proven(inputs: Inputs, parsed: Parsed, parse: Callable[[tuple[str, ...]], Parsed]) -> Taken:
    """What was parsed, with the defaults, once its arguments are rendered and parsed to the same again.

    Raises:
        WholeError: they are not the same.
    """
    values = _complete(inputs, parsed)
    try:
        words = render_arguments(inputs, values)
    except BadInput as error:
        raise WholeError(error.what) from error
    again = parse(words)
    if again.rest != parsed.rest or canonical_json(_complete(inputs, again)) != canonical_json(values):
        raise WholeError("its values cannot be written as arguments again exactly")
    return Taken(inputs, values, parsed.rest)


def _complete(inputs: Inputs, parsed: Parsed) -> JsonObject:
    values = defaults_of(inputs) | parsed.values
    try:
        return check_parameters(inputs, values)
    except BadInput as error:
        raise WholeError(error.what) from error
