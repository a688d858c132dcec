"""Config files as text: one value changes, and not a byte of the rest."""

from __future__ import annotations

import json
import tomllib
from difflib import ndiff
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from launch_jobs.config_files import Keys, NotConfigError, dotted, read_config
from launch_jobs.config_files.rendering import changed_files
from launch_jobs.errors import BadInput
from launch_jobs.job import InputFile, Inputs, JsonObject, Option

YAML = """# head
model:   # c
    lr:    1e-3   # rate
    name: 'cu''bic'
    dq: "x\\ty"
    sizes:
    - 64   # a
    - 32
    # after
    deep: {a: 1, b: [1,2]}
    empty:
    nul: ~
    a.b: 3
base: &b
  x: 1
  y: &y 2
use:
  <<: *b
  z: *y
date: 2024-01-01
text: |
  hello
  world

last: !!float 3
t: !custom 3
inf: .inf
"""
JSON = '{\n  "lr": 1e-3,\t"name": "ä",\n    "l": [\n      1,\n      2\n    ], "m": {"k": [1,2], "e": {}},\n "n": null}'
TOML = """# c
title = 'x'   # lit
lr    =  0.1  # rate
when = 2024-01-01
xs = [
  1,
  2,
]
d.e = 3
[model]
  name = "a"   # n
inline = {a = 1, b = "x"}
[[layers]]
n = 1
"""


def _changed_lines(before: str, after: str) -> list[str]:
    lines = ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("path", "text", "keys", "value", "lines"),
    [
        ("a.yaml", YAML, ("model", "lr"), 2e-5, ["-     lr:    1e-3   # rate", "+     lr:    2.0e-05   # rate"]),
        ("a.yaml", YAML, ("model", "name"), "it's", ["-     name: 'cu''bic'", "+     name: 'it''s'"]),
        ("a.yaml", YAML, ("model", "dq"), "a: b", ['-     dq: "x\\ty"', '+     dq: "a: b"']),
        ("a.yaml", YAML, ("model", "sizes"), [64, 8], ["-     - 64   # a", "-     - 32", "+     - 64", "+     - 8"]),
        ("a.yaml", YAML, ("model", "deep", "b"), [], ["-     deep: {a: 1, b: [1,2]}", "+     deep: {a: 1, b: []}"]),
        ("a.yaml", YAML, ("model", "empty"), "null", ["-     empty:", "+     empty: 'null'"]),
        ("a.yaml", YAML, ("model", "nul"), {"k": 1}, ["-     nul: ~", "+     nul: {k: 1}"]),
        ("a.yaml", YAML, ("model", "a.b"), 4, ["-     a.b: 3", "+     a.b: 4"]),
        ("a.yaml", YAML, ("base", "y"), 8, ["-   y: &y 2", "+   y: &y 8"]),
        ("a.yaml", YAML, ("date",), "2025-02-03", ["- date: 2024-01-01", "+ date: 2025-02-03"]),
        ("a.yaml", YAML, ("text",), "a\n#b", ["- text: |", "-   hello", "-   world", '+ text: "a\\n#b"']),
        ("a.yaml", YAML, ("last",), 4.5, ["- last: !!float 3", "+ last: !!float 4.5"]),
        ("a.yml", "a:\n- 1\nb: 1\n", ("a",), [], ["- - 1", "+  []"]),
        ("a.yaml", "a: 1 \r\nb: x\r\n", ("b",), "y", ["- b: x\r", "+ b: y\r"]),
        ("a.json", JSON, ("name",), 'ö"', ['-   "lr": 1e-3,\t"name": "ä",', '+   "lr": 1e-3,\t"name": "ö\\"",']),
        ("a.json", JSON, ("l",), [1, 3], ["-       2", "+       3"]),
        ("a.json", JSON, ("n",), 1, ['-  "n": null}', '+  "n": 1}']),
        ("a.toml", TOML, ("lr",), 0.2, ["- lr    =  0.1  # rate", "+ lr    =  0.2  # rate"]),
        ("a.toml", TOML, ("when",), "2025-02-03", ["- when = 2024-01-01", "+ when = 2025-02-03"]),
        ("a.toml", TOML, ("d", "e"), 4, ["- d.e = 3", "+ d.e = 4"]),
        ("a.toml", TOML, ("model", "inline", "b"), "z", ['- inline = {a = 1, b = "x"}', '+ inline = {a = 1, b = "z"}']),
        ("a.toml", TOML, ("model", "name"), "ü", ['-   name = "a"   # n', '+   name = "ü"   # n']),
    ],
)
def test_only_the_value_changes(path: str, text: str, keys: Keys, value: JsonValue, lines: list[str]) -> None:
    """Comments, order, indents, quotes, anchors and line ends stay as they are."""
    changed = read_config(path, text).changed({keys: value})
    assert sorted(_changed_lines(text, changed)) == sorted(lines)


def test_names_of_values_are_their_keys_with_dots() -> None:
    """A dot inside a key is escaped, so that every name means one value."""
    names = [dotted(keys) for keys in read_config("a.yaml", YAML).values]
    assert names[:4] == ["model.lr", "model.name", "model.dq", "model.sizes"]
    assert "model.a\\.b" in names
    assert dotted(("a\\", "b")) == "a\\\\.b"


def test_what_cannot_be_told_or_written_is_no_parameter() -> None:
    """Values behind an alias, with a tag of the program's own, or that JSON cannot hold."""
    assert not {("use", "z"), ("use", "x"), ("t",), ("inf",)} & read_config("a.yaml", YAML).values.keys()
    values = read_config(
        "a.json", '{"a=b": 1, "": 2, "n": NaN, "big": 1e999, "i": 18446744073709551616, "s": "\\ud800"}'
    )
    assert not values.values
    assert ("layers",) not in read_config("a.toml", TOML).values


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("a.yaml", "- 1", "no mapping"),
        ("a.yaml", "", "no mapping"),
        ("a.yaml", "a: 1\n---\nb: 2", "one document"),
        ("a.yaml", "a: 1\na: 2", "twice"),
        ("a.yaml", "x: {{ a }", "no YAML"),
        ("a.yaml", "x: " + "[" * 3000, "too deeply"),
        ("a.yaml", "a: \1", "no YAML"),
        ("a.yaml", "a: !!bool maybe", "no YAML"),
        ("a.json", "[1]", "no object"),
        ("a.json", "{", "no JSON"),
        ("a.json", '{"a": 1, "a": 2}', "twice"),
        ("a.json", "[" * 200_000, "too deeply"),
        ("a.toml", "x", "no TOML"),
        ("a.toml", "x = " + "1" * 5000, "no TOML"),
        ("a.ini", "x=1", "does not end in"),
    ],
)
def test_what_is_no_config_file_says_why(path: str, text: str, why: str) -> None:
    """Each reason has its words."""
    with pytest.raises(NotConfigError, match=why):
        read_config(path, text)


@pytest.mark.parametrize(
    ("path", "text", "keys", "value"),
    [
        ("a.toml", "x = []", ("x",), [None]),
        ("a.toml", "x = 1", ("x",), None),
        ("a.yaml", "a: [&x 1]\nb: *x\n", ("a",), [2]),
        ("a.yaml", "a: 1", ("b",), 2),
    ],
)
def test_what_would_change_more_is_refused(path: str, text: str, keys: Keys, value: JsonValue) -> None:
    """Rather no run than one with another configuration than was asked for."""
    with pytest.raises(BadInput, match="cannot be changed in"):
        read_config(path, text).changed({keys: value})


def test_aliases_that_stand_for_billions_of_values_are_looked_at_once() -> None:
    """A list with an alias in it is no parameter, and changing what it names would change it, too."""
    laughs = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    config = read_config("a.yaml", "\n".join(["a0: &a0 [1, 2]", *laughs, "loop: &l [*l]"]))
    assert config.values == {("a0",): [1, 2]}


def test_a_value_that_something_else_names_has_one_place() -> None:
    """An alias of what is inside another value, which would change with it, is no parameter."""
    text = "m: {k: &v 0}\na: [*v, &x 1]\n1: &y 2\nl: [&z 3]\nb: *x\nc: *y\nd: *z\n"
    assert read_config("a.yaml", text).values == {("m", "k"): 0, ("l",): [3]}


@pytest.mark.parametrize("path", ["/etc/app.json", "../app.json", "a//b.json", "a/\0.json"])
def test_a_file_outside_of_the_source_is_never_written(path: str) -> None:
    """A job may be somebody else's, and a process queue would write where it says."""
    schema: JsonObject = {"properties": {"x": {"default": 1}}}
    option = Option(name="x", flag=None, action="file", file=path, at=("x",))
    inputs = Inputs(parameters_schema=schema, options=(option,), files=(InputFile(path=path, text='{"x": 1}'),))
    with pytest.raises(BadInput, match="no path in its source tree"):
        changed_files(inputs, {"x": 2})


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(1 << 62), 1 << 62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
LOADERS: dict[str, Any] = {"a.yaml": yaml.safe_load, "a.json": json.loads, "a.toml": tomllib.loads}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(LOADERS)), st.one_of(SCALARS, st.lists(SCALARS, max_size=4)))
@example("a.yaml", ["\x85", "ä\u2028"])
def test_a_program_reads_the_value_that_was_asked_for(path: str, value: JsonValue) -> None:
    """What is written is read as the same value, whatever it holds; its neighbours stay."""
    text = {"a.yaml": "a: 1  # c\nx: 5\nz: {y: 6, l: 2}\n", "a.json": '{"a": 1, "x": 5}', "a.toml": "a = 1\nx = 5\n"}[
        path
    ]
    changed = read_config(path, text).changed({("x",): value})
    assert LOADERS[path](changed) == {**LOADERS[path](text), "x": value}
