"""Hyperparameters: what is captured of a parser, checked of a launch, and read of `-p name=text`."""

from __future__ import annotations

import argparse
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from launch_jobs.arguments import check_parameters, render_arguments
from launch_jobs.capture.argparse_inputs import inputs_of
from launch_jobs.capture.parameters import capture_inputs
from launch_jobs.capture.parser import SeenParser
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, JsonObject
from launch_jobs.parameter_text import parse_parameter_text
from launch_jobs.tracker import INJECT

_TRACKER = runpy.run_path(str(INJECT / "_launch_tracker.py"))
_describe = cast("Callable[[argparse.ArgumentParser, list[str]], object]", _TRACKER["describe"])


def seen(parser: argparse.ArgumentParser, *args: str) -> SeenParser:
    """The parser as the tracker describes it."""
    return SeenParser.model_validate(_describe(parser, list(args)))


def nested(depth: int) -> JsonValue:
    """Lists in lists."""
    value: JsonValue = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def inputs() -> Inputs:
    """Parameters of several types."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--lr", type=float, default=1e-3, help="rate, %(default)s")
    parser.add_argument("--epochs", type=int, choices=range(1, 4), default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8])
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--mode", choices=["a", "b"])
    parser.add_argument("--fast", dest="speed", action="store_const", const=9, default=1)
    return inputs_of(("", seen(parser)))


def test_schema_tells_type_choices_default_and_what_is_required(inputs: Inputs) -> None:
    """The schema is what argparse knows."""
    assert inputs.parameters_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["data"],
        "properties": {
            "data": {"type": "string", "title": "data"},
            "lr": {"type": "number", "default": 1e-3, "title": "lr", "description": "rate, 0.001"},
            "epochs": {"type": "integer", "enum": [1, 2, 3], "default": 2, "title": "epochs"},
            "sizes": {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 1,
                "default": [8],
                "title": "sizes",
            },
            "amp": {"type": "boolean", "default": False, "title": "amp"},
            "mode": {"type": ["string", "null"], "enum": ["a", "b", None], "default": None, "title": "mode"},
            "speed": {"enum": [9, 1], "default": 1, "title": "speed"},
        },
    }


def test_values_are_rendered_so_that_argparse_cannot_mistake_them(inputs: Inputs) -> None:
    """A value may begin with a dash; what equals the default is left to the program."""
    values = check_parameters(inputs, {"data": "-d", "lr": -1e-5, "sizes": [-1, 2], "amp": True, "speed": 9})

    assert render_arguments(inputs, values) == (
        "--lr=-0.00001",
        *("--sizes", "-1", "2"),
        "--amp",
        "--fast",
        *("--", "-d"),
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["'data'", "required"]),
        ({"data": "d", "lr": "fast"}, ["'lr'", '"fast"', "number"]),
        ({"data": "d", "lr": True}, ["'lr'", "true", "number"]),
        ({"data": "d", "epochs": 4}, ["'epochs'", "4", "1, 2, 3"]),
        ({"data": "d", "sizes": []}, ["'sizes'", "at least 1"]),
        ({"data": "d", "epoch": 1}, ["'epoch'", "Did you mean 'epochs'"]),
        ({"data": "d", "zzz": 1}, ["'zzz'", "amp, data, epochs"]),
        ({"data": "--"}, ["'data'", "--"]),
        ({"data": None}, ["'data'", "null", "string"]),
        ({"data": "d", "lr": {"x": 1}}, ["'lr'", "number"]),
        ({"data": "d", "lr.x": 1}, ["'lr.x'", "no parameter"]),
        ({"data": "d", "lr": float("nan")}, ["'lr'", "not finite"]),
        ({"data": "d", "sizes": [float("-inf")]}, ["'sizes'", "not finite"]),
        ({"data": "d", "epochs": 1 << 80}, ["'epochs'", "more than 64 bits"]),
        ({"data": "\ud800"}, ["'data'", "half a character"]),
        ({"data": "x" * 50_000_000}, ["128 KiB"]),
        ({"data": ["x" * 90_000]}, ["'data'", "xxx…", "string"]),
        ({"data": "d", "sizes": nested(1000)}, ["'sizes'", "deeper than 64"]),
    ],
)
def test_bad_parameters_are_refused_in_one_line(inputs: Inputs, given: dict[str, JsonValue], words: list[str]) -> None:
    """The line names the parameter, what is wrong with it and what is allowed."""
    with pytest.raises(BadInput) as refused:
        check_parameters(inputs, given)

    assert "\n" not in str(refused.value)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("value", ["a\0b", "x" * (1 << 17)])
def test_what_no_program_can_be_given_is_refused(inputs: Inputs, value: str) -> None:
    """Linux takes no NUL character in an argument, and at most 128 KiB."""
    with pytest.raises(BadInput, match="the argument"):
        render_arguments(inputs, {"data": value})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data", "1", "1"),
        ("data", "null", "null"),
        ("lr", "3e-4", 3e-4),
        ("epochs", "3", 3),
        ("sizes", "1,2", [1, 2]),
        ("sizes", "[1, 2]", [1, 2]),
        ("amp", "true", True),
        ("amp", "0", False),
        ("speed", "9", 9),
        ("mode", "a", "a"),
    ],
)
def test_text_is_read_by_the_parameters_type(inputs: Inputs, name: str, text: str, value: JsonValue) -> None:
    """`-p name=text` means a value of the schema's type."""
    found = parse_parameter_text(inputs, name, text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"), [("lr", "fast"), ("lr", "nan"), ("epochs", "3.5"), ("amp", "maybe"), ("speed", "2"), ("x", "1")]
)
def test_text_that_is_no_value_is_refused(inputs: Inputs, name: str, text: str) -> None:
    """It says so in one line."""
    with pytest.raises(BadInput) as refused:
        parse_parameter_text(inputs, name, text)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "text", "do"),
    [
        ("string", "[x,y]", """Write tags=x,y or 'tags=["x", "y"]'"""),
        ("integer", "[1, 2", "Write tags=1,2"),
        ("string", "[,", "Allowed: array, of string"),
    ],
)
def test_a_list_without_quotes_is_told_how_to_be_written(kind: str, text: str, do: str) -> None:
    """A shell takes the quotes of JSON away."""
    schema: JsonObject = {"properties": {"tags": {"type": "array", "items": {"type": kind}}}}
    with pytest.raises(BadInput, match="is no list in JSON") as refused:
        parse_parameter_text(Inputs(parameters_schema=schema), "tags", text)

    assert refused.value.do == do


class _Own(argparse.Action):
    pass


@pytest.mark.parametrize(
    ("options", "args"),
    [
        ({"nargs": argparse.REMAINDER}, ["--x", "a"]),
        ({"action": _Own}, []),
        ({"type": float}, ["--x", "inf"]),
        ({"action": "append", "default": ["a"]}, []),
        ({"action": "append", "nargs": 2}, []),
        ({"action": "count", "default": 3}, []),
        ({"action": "store_const", "const": object()}, []),
    ],
)
def test_what_cannot_be_rendered_again_keeps_the_arguments_whole(options: dict[str, object], args: list[str]) -> None:
    """The schema is empty, the command as it was typed, and a note says why."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", **options)  # pyright: ignore[reportArgumentType]  any keyword of argparse

    captured = capture_inputs(["python", "p.py", *args], seen(parser, *args))

    assert captured.argv == ("python", "p.py", *args)
    assert captured.inputs == Inputs()
    assert captured.note is not None


def test_arguments_that_the_parser_leaves_stay_in_the_command() -> None:
    """After parse_known_args the unknown ones are the program's own, in their order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    args = ["--other", "1", "--lr", "2", "--last"]

    captured = capture_inputs(["python", "p.py", *args], seen(parser, *args))

    assert captured.argv == ("python", "p.py", "--other", "1", "--last")
    assert captured.values == {"lr": 2.0}


def test_other_arguments_than_the_commands_are_kept_whole() -> None:
    """A parser that got its arguments from elsewhere (a configuration file) explains nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)

    captured = capture_inputs(["python", "p.py", "--lr", "1"], seen(parser, "--lr", "2"))

    assert captured.note is not None
    assert captured.inputs == Inputs()
