"""From a parser that was seen, whatever its library, to a job's inputs, captured values, and the bare command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ValidationError, WrapValidator

from launch_jobs.capture.absl_inputs import SeenFlags, take_absl
from launch_jobs.capture.argparse_inputs import take_argparse
from launch_jobs.capture.click_inputs import take_click
from launch_jobs.capture.click_seen import SeenClick
from launch_jobs.capture.fire_inputs import SeenFire, take_fire
from launch_jobs.capture.hydra_inputs import SeenHydra, take_hydra
from launch_jobs.capture.parser import SeenParser
from launch_jobs.capture.taken import Taken, WholeError
from launch_jobs.job import Inputs, JsonObject, Option

Seen = SeenParser | SeenClick | SeenHydra | SeenFlags | SeenFire


def _or_none(value: Any, validate: Callable[[Any], Seen | None]) -> Seen | None:
    """A parser that is described in no way we know must not cost us the rest of the process."""
    try:
        return validate(value)
    except ValidationError:
        return None


SeenOrNone = Annotated[Seen | None, WrapValidator(_or_none)]


@dataclass(frozen=True, slots=True)
class CapturedInputs:
    """The hyperparameters of a captured command.

    Attributes:
        inputs: schema and options; empty when the argument list stays whole.
        values: what this run had, by parameter name, defaults included.
        argv: the command without the arguments that `inputs` covers.
        note: why the argument list stays whole, or what it does not tell; None when there is nothing to say.
    """

    inputs: Inputs
    values: JsonObject
    argv: tuple[str, ...]
    note: str | None = None


def capture_inputs(argv: Sequence[str], parser: Seen | None, *, has_arguments: bool = True) -> CapturedInputs:
    """Take a command apart by what its parser said; or keep it whole, and say why if it has arguments."""
    argv = tuple(argv)
    try:
        if parser is None:
            raise WholeError("the program parsed them with no parser that we know")
        if not parser.is_of(argv):
            raise WholeError("the program parsed other arguments than those of the command")
        taken = _take(parser)
    except WholeError as error:
        return CapturedInputs(
            Inputs(), {}, argv, f"The argument list was kept whole: {error}" if has_arguments else None
        )
    bare = (*argv[: len(argv) - len(parser.args)], *taken.rest)
    leading, options = _leading(taken.inputs.options)
    inputs = taken.inputs.model_copy(update={"options": options})
    return CapturedInputs(inputs, taken.values, (*bare, *leading), " ".join(taken.notes) or None)


def _take(parser: Seen) -> Taken:
    match parser:
        case SeenParser():
            return take_argparse(parser)
        case SeenClick():
            return take_click(parser)
        case SeenHydra():
            return take_hydra(parser)
        case SeenFlags():
            return take_absl(parser)
        case SeenFire():
            return take_fire(parser)


def _leading(options: tuple[Option, ...]) -> tuple[list[str], tuple[Option, ...]]:
    """Sub-commands before which no option stands belong to the command."""
    first = next((index for index, option in enumerate(options) if option.action != "word"), len(options))
    return [str(option.const) for option in options[:first]], options[first:]
