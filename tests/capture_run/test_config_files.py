"""Config files that become parameters: named by `--input-file`, or shown by the run to be such; never data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from launch_jobs.arguments import check_parameters, render_arguments
from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.config_files.rendering import changed_files
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import Inputs, JobVersion
from launch_jobs.store.jobs import open_store

CONFIG = "# training\nmodel:\n  lr: 1e-3   # rate\n  layers: [64, 32]\nepochs: 3\nnote:\n"
WITH_PARSER = """
import argparse, yaml
parser = argparse.ArgumentParser()
parser.add_argument("--config", default="conf/train.yaml")
parser.add_argument("--epochs", type=int, default=1)
config = yaml.safe_load(open(parser.parse_args().config))
"""
ALONE = "import yaml\nconfig = yaml.safe_load(open('conf/train.yaml'))\n"
TRACKING = ALONE + "import launch_jobs\nconfig = launch_jobs.track(parameters=config).parameters\n"
Run = Callable[..., TrackedRun]


def runner(folder: Path) -> Run:
    """Runs a program beside files, tracked: `run(program, *arguments, files={…}, input_files=[…])`."""
    store = open_store((folder / "store").as_uri())

    def tracked(program: str, *arguments: str, files: dict[str, str], input_files: tuple[str, ...] = ()) -> TrackedRun:
        project = folder / "project"
        for path, text in {**files, "train.py": program}.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        command = [sys.executable, "train.py", *arguments]
        return run_tracked(command, store=store, directory=project, input_files=input_files)

    return tracked


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A runner in a home and a store of its own."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return runner(tmp_path)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> TrackedRun:
    """A program that reads a config file that one of its options names."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("config")
        patch.setenv("LAUNCH_JOBS_HOME", str(folder / "home"))
        patch.delenv("PYTHONPATH", raising=False)
        return runner(folder)(WITH_PARSER, files={"conf/train.yaml": CONFIG})


@pytest.fixture
def inputs(ended: TrackedRun) -> Inputs:
    """What was captured of it."""
    return _version(ended).job.inputs


def _version(ended: TrackedRun) -> JobVersion:
    assert ended.version is not None, ended.problem
    return ended.version


def _names(ended: TrackedRun) -> list[str]:
    schema = _version(ended).job.inputs.parameters_schema
    properties = schema["properties"]
    assert isinstance(properties, dict)
    return list(properties)


def _launched(inputs: Inputs, **given: JsonValue) -> tuple[tuple[str, ...], str]:
    """The arguments and the config file that a launch gets."""
    parameters = check_parameters(inputs, given)
    files = changed_files(inputs, parameters)
    return render_arguments(inputs, parameters), files[0].after if files else ""


def test_a_file_that_an_option_names_gives_parameters(ended: TrackedRun, inputs: Inputs) -> None:
    """Its values are parameters by dotted names; where an option has the name, the file's stem is before it."""
    assert _names(ended) == ["config", "epochs", "model.lr", "model.layers", "train.epochs", "note"]
    properties = inputs.parameters_schema["properties"]
    assert isinstance(properties, dict)
    assert properties["model.lr"] == {
        "type": "number",
        "title": "model.lr",
        "default": 0.001,
        "description": "in conf/train.yaml",
    }
    assert ended.record is not None
    assert ended.record.parameters["train.epochs"] == 3
    assert any("conf/train.yaml are parameters" in note for note in ended.record.notes)


def test_a_launch_changes_one_value_of_the_file(inputs: Inputs) -> None:
    """Nothing else of it changes; and an argument changes no file."""
    assert _launched(inputs) == ((), "")
    assert _launched(inputs, epochs=5) == (("--epochs=5",), "")
    assert _launched(inputs, **{"model.lr": 0.5}) == ((), CONFIG.replace("1e-3", "0.5"))
    assert _launched(inputs, **{"train.epochs": 9, "note": "--"})[1] == CONFIG.replace("3\nnote:", "9\nnote: --")


@pytest.mark.parametrize(
    ("name", "value"),
    [("model.lr", "fast"), ("model.layers", [1, "x"]), ("train.epochs", None), ("model.lr.x", 1), ("model", {"lr": 1})],
)
def test_a_value_that_does_not_fit_the_file_is_refused(inputs: Inputs, name: str, value: JsonValue) -> None:
    """Types, unknown names, null and nested keys, as of any parameter."""
    with pytest.raises(BadInput, match=name):
        _launched(inputs, **{name: value})


def test_the_only_file_of_a_program_without_parameters_gives_them(run: Run) -> None:
    """A second file of its kind makes it a guess, and then none is taken."""
    ended = run(ALONE, files={"conf/train.yaml": CONFIG, "package.json": "{}", ".hidden/x.json": "{}"})
    assert _names(ended) == ["model.lr", "model.layers", "epochs", "note"]
    two = ALONE + "open('data.json').read()\n"
    assert _names(run(two, files={"data.json": "[1]"})) == []


def test_what_track_was_given_is_not_there_twice(run: Run) -> None:
    """`track` brings the launched values itself."""
    ended = run(TRACKING, files={"conf/train.yaml": CONFIG}, input_files=("conf/train.yaml",))
    assert sorted(_names(ended)) == ["epochs", "model.layers", "model.lr", "note"]
    assert _version(ended).job.inputs.files == ()


NO_CONFIGS = {
    "list.json": json.dumps([{"lr": 1}]),
    "large.json": json.dumps({"lr": 1, "rows": "x" * (1 << 16)}),
    "long.json": json.dumps({"lr": 1, "rows": list(range(101))}),
    "many.json": json.dumps({f"k{i}": i for i in range(201)}),
    "labels.json": json.dumps({"0": "cat", "1": "dog"}),
    "package.json": '{"lr": 1}',
    "package-lock.json": '{"lr": 1}',
    "pyproject.toml": "lr = 1",
    "poetry.lock.toml": "lr = 1",
    "uv.lock.json": '{"lr": 1}',
    ".config/a.json": '{"lr": 1}',
    "two.yaml": "lr: 1\n---\nlr: 2",
    "secret.yaml": "password: hunter2hunter2",
    "empty.yaml": "",
}


def test_what_may_be_data_or_a_tools_is_never_taken(run: Run) -> None:
    """Also when an argument names it and the program reads it."""
    ended = run("import sys\nfor path in sys.argv[1:]: open(path).read()\n", *NO_CONFIGS, files=NO_CONFIGS)
    assert _names(ended) == []
    assert _version(ended).job.inputs.files == ()


def test_what_the_program_wrote_itself_is_no_config(run: Run) -> None:
    """A file that it reads back has no values of the user's."""
    program = "open('a.json', 'w').write('{\"lr\": 1}')\nopen('a.json').read()\n"
    assert _names(run(program, files={"a.json": '{"lr": 1}'})) == []


def test_input_files_are_taken_whoever_reads_them(run: Run) -> None:
    """Of two files the named ones count, in their order; that one was not seen to be read is said."""
    files = {"a.json": '{"lr": 1, "x": {"y": null}}', "b.toml": "lr = 2.0\n"}
    ended = run("open('a.json').read()", files=files, input_files=("b.toml", "a.json"))
    assert _names(ended) == ["lr", "a.lr", "x.y"]
    assert ended.record is not None
    assert any("b.toml was not seen to be read" in note for note in ended.record.notes)


@pytest.mark.parametrize(
    ("path", "files", "why"),
    [
        ("no.yaml", {}, "not in the source tree"),
        ("../out.yaml", {}, "outside the source tree"),
        ("ignored.yaml", {"ignored.yaml": "a: 1", ".launchignore": "ignored.yaml"}, "ignored"),
        ("a.ini", {"a.ini": "x=1"}, "does not end in"),
        ("a.yaml", {"a.yaml": "- 1"}, "no mapping"),
        ("a.yaml", {"a.yaml": "a: " + "x" * (1 << 16)}, "64 KiB"),
        ("a.json", {"a.json": "{}"}, "holds no value"),
        ("pyproject.toml", {"pyproject.toml": "a = 1"}, "describes a project"),
        ("a.yaml", {"a.yaml": "db:\n  password: ${PASSWORD}\n  api_key: abcdefgh1234\n"}, "db.api_key"),
    ],
)
def test_an_input_file_that_cannot_be_one_is_refused_before_the_start(
    run: Run, tmp_path: Path, path: str, files: dict[str, str], why: str
) -> None:
    """The program does not run, and the line says why."""
    with pytest.raises((BadInput, Refused), match=why):
        run("open('ran', 'w')", files=files, input_files=(path,))
    assert not (tmp_path / "project" / "ran").exists()


def test_a_symbolic_link_is_no_input_file(run: Run, tmp_path: Path) -> None:
    """What it leads to may be changed by a launch; the link itself may not, and is never taken."""
    (tmp_path / "project" / "conf").mkdir(parents=True)
    (tmp_path / "project" / "conf" / "train.yaml").symlink_to("real.yaml")
    with pytest.raises(BadInput, match="symbolic link"):
        run(ALONE, files={"conf/real.yaml": CONFIG}, input_files=("conf/train.yaml",))
    assert _names(run(ALONE, files={"conf/real.yaml": CONFIG})) == []


def test_the_digest_of_other_jobs_stays() -> None:
    """Jobs without config files are named as before there were any."""
    assert Inputs().model_dump(exclude_defaults=True) == {}
