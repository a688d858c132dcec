"""Laws of hyperparameters: what is rendered as arguments, argparse reads as the same values."""

from __future__ import annotations

import argparse
import re
import runpy
from collections.abc import Callable
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.arguments import check_parameters, hydra_text, properties_of, render_arguments
from launch_jobs.capture.argparse_inputs import inputs_of
from launch_jobs.capture.parameters import capture_inputs
from launch_jobs.capture.parser import SeenParser
from launch_jobs.job import JsonObject
from launch_jobs.tracker import INJECT

_TRACKER = runpy.run_path(str(INJECT / "_launch_tracker.py"))
_describe = cast("Callable[[argparse.ArgumentParser, list[str]], object]", _TRACKER["describe"])

_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_TRICKY = st.sampled_from(["-", "---", "-1", "--lr", "-x", "a b", "-a b", "=", "--lr=3", "", " ", "é", "@f", "null"])
_WORDS = (_TEXTS | _TRICKY).filter(lambda text: text != "--")
_INTS = st.integers(-(10**12), 10**12)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {int: _INTS, float: _FLOATS, str: _WORDS, None: _WORDS}
_NAMES = st.sampled_from(["lr", "n_jobs", "x", "seed", "model", "batch", "out", "deep", "verbose", "path"])


def seen(parser: argparse.ArgumentParser, args: list[str] | None = None) -> SeenParser:
    """The parser as the tracker describes it."""
    return SeenParser.model_validate(_describe(parser, args or []))


@st.composite
def option(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Keyword arguments of one `add_argument` that can be rendered again."""
    kind = draw(st.sampled_from(["store", "choices", "many", "flag", "boolean", "count", "append", "extend"]))
    converter = draw(st.sampled_from(list(_BY_TYPE)))
    values = _BY_TYPE[converter]
    common: dict[str, Any] = {"dest": name}
    if kind == "store":
        return common | {"type": converter, "default": draw(st.none() | values), "required": draw(st.booleans())}
    if kind == "choices":
        chosen = draw(st.lists(values, min_size=1, max_size=3, unique=True))
        return common | {"type": converter, "choices": chosen, "default": draw(st.none() | st.sampled_from(chosen))}
    if kind == "many":
        nargs = draw(st.sampled_from(["*", "+", 1, 2]))
        return common | {"type": converter, "nargs": nargs, "default": draw(st.none() | st.just([]))}
    if kind in ("flag", "boolean", "count"):
        bare = {
            "flag": {"action": draw(st.sampled_from(["store_true", "store_false"]))},
            "boolean": {
                "action": argparse.BooleanOptionalAction,
                "default": draw(st.sampled_from([None, True, False])),
            },
            "count": {"action": "count", "default": draw(st.sampled_from([None, 0]))},
        }
        return common | bare[kind]
    nargs = {"nargs": "+"} if kind == "extend" else {}
    return common | nargs | {"action": kind, "type": converter, "default": draw(st.none() | st.just([]))}


@st.composite
def parsers(draw: st.DrawFn) -> argparse.ArgumentParser:
    """An argparse parser whose actions all can be rendered again."""
    parser = argparse.ArgumentParser(prog="p")
    names = draw(st.lists(_NAMES, unique=True, max_size=6))
    split = draw(st.integers(0, len(names)))
    open_length = False
    for name in names[:split]:
        nargs = draw(st.sampled_from([None, 2] if open_length else [None, 2, "?", "*", "+"]))
        open_length = open_length or nargs in ("?", "*", "+")
        parser.add_argument(name, type=draw(st.sampled_from(list(_BY_TYPE))), nargs=nargs)
    for name in names[split:]:
        keywords = draw(option(name))
        parser.add_argument(draw(st.sampled_from([f"--{name}", f"--{name}-it"])), **keywords)
    return parser


def _of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of ours allows."""
    if "pattern" in schema:
        texts = _WORDS.filter(lambda text: re.search(schema["pattern"], text) is not None)
        return texts if isinstance(schema["type"], str) else st.none() | texts
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if isinstance(schema["type"], list):
        return st.none() | _of({**schema, "type": schema["type"][0]})
    if schema["type"] == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
        return st.lists(_of(schema["items"]), min_size=least, max_size=most)
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], 4) if "minimum" in schema else _INTS
    return {"number": _FLOATS, "string": _WORDS, "boolean": st.booleans()}[schema["type"]]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_rendered_is_parsed_to_the_same_values(data: st.DataObject) -> None:
    """parse(render(values)) == values, for any parser that we take apart and any values that its schema allows."""
    parser = data.draw(parsers())
    inputs = inputs_of(("", seen(parser)))
    given_values: JsonObject = {}
    for name, schema in properties_of(inputs).items():
        if name in cast("list[str]", inputs.parameters_schema.get("required", [])) or data.draw(st.booleans()):
            given_values[name] = data.draw(_of(cast("dict[str, Any]", schema)))
    values = check_parameters(inputs, given_values)

    parsed = vars(parser.parse_args(list(render_arguments(inputs, values))))

    assert {name: parsed[name] for name in values} == values


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_command_is_taken_apart_without_rest(data: st.DataObject) -> None:
    """Capturing a rendered command gives the values back, and leaves only the program."""
    parser = data.draw(parsers())
    inputs = inputs_of(("", seen(parser)))
    values = {name: data.draw(_of(cast("dict[str, Any]", schema))) for name, schema in properties_of(inputs).items()}
    args = render_arguments(inputs, check_parameters(inputs, values))

    captured = capture_inputs(["python", "p.py", *args], seen(parser, list(args)))

    assert (captured.note, captured.argv) == (None, ("python", "p.py"))
    assert captured.values == values
    assert captured.inputs == inputs


_HYDRA_WORDS = _TEXTS | _TRICKY | st.text(st.sampled_from("'\\\\\"a,[]{}:=$() "), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.recursive(_INTS | _FLOATS | st.booleans() | st.none() | _HYDRA_WORDS, st.lists, max_leaves=4))
def test_hydra_reads_the_value_that_is_written_for_it(value: Any) -> None:
    """Its own parser of overrides gives the value back, whatever signs are in it."""
    override = OverridesParser.create().parse_override(f"key={hydra_text(value)}")

    assert override.value() == value
    assert type(override.value()) is type(value)
