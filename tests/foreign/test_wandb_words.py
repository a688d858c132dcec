"""Commands, paths and types as W&B writes them (rows of LAUNCH_FEATURES C2)."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.foreign.packages import python_version
from launch_jobs.foreign.wandb_words import (
    code_path,
    command_of,
    entry_file,
    entrypoint,
    inputs_of_run,
    inputs_of_types,
    schema_of_type,
)
from launch_jobs.parameter_text import parse_parameter_text

FILES: list[tuple[list[str], str | None]] = [
    (["python", "a.py"], "a.py"),
    (["a.py"], "a.py"),
    (["run.sh", "x"], "run.sh"),
    (["python"], None),
    ([], None),
    (["python", "-m", "pkg"], None),
    (["python", "-u", "t.py"], "t.py"),
    (["python3.11", "-X", "dev", "t.py", "--x"], "t.py"),
]


@pytest.mark.parametrize(("words", "file"), FILES)
def test_entry_file(words: list[str], file: str | None) -> None:
    """Row 17: the file that is started, past the interpreter's options."""
    assert entry_file(words) == file


@pytest.mark.parametrize("first", ["python", "python3", "python3.11", "pythonCPython 3.11", "/usr/bin/python3.11"])
def test_any_python_is_python(first: str) -> None:
    """Row 1, and the word that clients since 0.19 write, with which nothing can start."""
    assert entrypoint([first, "train.py"]) == ("python", "train.py")


def test_an_entry_point_inside_the_source_only() -> None:
    """Row 13."""
    with pytest.raises(BadInput, match="leaves the source"):
        entrypoint(["../../bin/python", "main.py"])
    with pytest.raises(BadInput, match="no entry point"):
        entrypoint([])


@pytest.mark.parametrize(
    ("program", "started", "path"),
    [
        ("gitRoot/a/notebook.ipynb", "/path/to/jupyterRoot", "a/notebook.ipynb"),
        ("a/notebook.ipynb", "/path/to/jupyterRoot/gitRoot/inner", "inner/a/notebook.ipynb"),
        ("a/notebook.ipynb", "/path/to/jupyterRoot/gitRoot", "a/notebook.ipynb"),
    ],
)
def test_paths_when_started_above_or_below_the_root(program: str, started: str, path: str) -> None:
    """Row 10."""
    assert code_path(program, "/path/to/jupyterRoot/gitRoot", started) == path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.11.2", "3.11.2"),
        ("CPython 3.11.7", "3.11.7"),
        ("3.8", "3.8"),
        ("python-3.8.9\n", "3.8.9"),
        ("3.12.0rc1", "3.12.0"),
        ("", None),
        ("2.7", None),
    ],
)
def test_python_versions(text: str, version: str | None) -> None:
    """Row 14: the job's own, runtime.txt's and .python-version's forms."""
    assert python_version(text) == version


def test_a_notebook_is_said_to_be_one() -> None:
    """Row 2."""
    with pytest.raises(BadInput, match=r"'Untitled\.ipynb' is a notebook"):
        command_of({"program": "Untitled.ipynb", "codePath": "Untitled.ipynb"})


@pytest.mark.parametrize("metadata", [{}, {"program": "<python with no main file>"}, {"program": "/usr/bin/x.py"}])
def test_a_session_without_a_program_is_said(metadata: dict[str, JsonValue]) -> None:
    """Nothing can be started again."""
    with pytest.raises(BadInput, match="names no program"):
        command_of(metadata)


def test_a_module_is_a_command() -> None:
    """`python -m pkg` as the client writes it."""
    assert command_of({"program": "-m pkg.train", "args": ["--x", "1"]}) == ("python", "-m", "pkg.train", "--x", "1")


def test_only_options_whose_last_word_counts_are_parameters() -> None:
    """Flags, short options, repeated ones and lists stay in the command as they are."""
    words = [
        "data.csv",
        "-n",
        "3",
        "--flag",
        "--tag",
        "a",
        "--tag",
        "b",
        "--sizes",
        "1",
        "2",
        "--lr=-1e-3",
        "--n",
        "-4",
    ]
    inputs, values = inputs_of_run(words, {"tag": ["a", "b"], "sizes": [1, 2], "_wandb": {}})
    assert values == {"lr": -0.001, "n": -4}
    assert {option.name: option.flag for option in inputs.options} == {"lr": "--lr", "n": "--n"}


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ({"wb_type": "number"}, {"type": ["integer", "number"]}),
        ({"wb_type": "none"}, {"type": "null"}),
        (
            {"wb_type": "list", "params": {"element_type": {"wb_type": "string"}, "length": 2}},
            {"type": "array", "items": {"type": "string"}},
        ),
        (
            {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "string"}]}},
            {"type": ["null", "string"]},
        ),
        (
            {
                "wb_type": "union",
                "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "list", "params": {"length": 2}}]},
            },
            {"type": ["null", "array"]},
        ),
        ({"wb_type": "wandb.Image"}, {}),
        ("nonsense", {}),
    ],
)
def test_types(kind: JsonValue, schema: JsonValue) -> None:
    """W&B's type language as JSON schema; what has none allows everything."""
    assert schema_of_type(kind) == schema


@pytest.mark.parametrize(("typed", "value"), [("5", 5), ("0.5", 0.5), ("1e3", 1000.0)])
def test_a_number_is_what_is_typed(typed: str, value: float) -> None:
    """`range(config.epochs)` needs an int, and W&B has one type for both."""
    kind: JsonValue = {"wb_type": "typedDict", "params": {"type_map": {"n": {"wb_type": "number"}}}}
    found = parse_parameter_text(inputs_of_types(kind), "n", typed)
    assert found == value
    assert type(found) is type(value)


def test_a_number_of_a_runs_config_is_either_kind() -> None:
    """A run that had 1 may be launched with 0.5."""
    inputs, _ = inputs_of_run(["python", "t.py"], {"lr": 1, "flag": True})
    assert inputs.parameters_schema["properties"] == {
        "lr": {"type": ["integer", "number"]},
        "flag": {"type": "boolean"},
    }
