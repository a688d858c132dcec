"""Groups of a Hydra configuration as parameters: their choices are the files that are there."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from launch_jobs.arguments import check_parameters, render_arguments
from launch_jobs.capture.hydra_inputs import SeenHydra, take_hydra
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs
from launch_jobs.parameter_text import parse_parameter_text


def _seen(*args: str, **changes: object) -> SeenHydra:
    given: dict[str, object] = {
        "library": "hydra",
        "args": args,
        "texts": args,
        "config": {"lr": 0.1, "model": {"kind": "linear"}},
        "groups": [
            {"name": "model", "choice": "linear", "options": ["cubic", "linear"]},
            {"name": "opt@train.opt", "choice": None, "options": ["adam"]},
        ],
    }
    return SeenHydra.model_validate({**given, **changes})


@pytest.fixture
def inputs() -> Inputs:
    """A configuration with a group that has a default, and one that is empty."""
    return take_hydra(_seen()).inputs


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("model", "cubic", ("model=cubic",)),
        ("model", "linear", ()),
        ("opt@train.opt", "adam", ("opt@train.opt=adam",)),
        ("opt@train.opt", "null", ()),
    ],
)
def test_a_group_is_chosen_by_name(inputs: Inputs, name: str, text: str, word: tuple[str, ...]) -> None:
    """`-p model=cubic` is written as Hydra has it."""
    value: JsonValue = parse_parameter_text(inputs, name, text)
    assert render_arguments(inputs, check_parameters(inputs, {name: value})) == word


def test_another_choice_is_refused_with_those_that_there_are(inputs: Inputs) -> None:
    """The line names the files of the group."""
    with pytest.raises(BadInput, match='Allowed: "cubic", "linear"'):
        parse_parameter_text(inputs, "model", "quartic")
    with pytest.raises(BadInput, match="'model': null is not allowed"):
        check_parameters(inputs, {"model": None})


def test_a_choice_on_the_command_line_is_a_value_and_no_default() -> None:
    """What the files themselves choose is unknown then."""
    taken = take_hydra(_seen("model=linear"))
    assert (taken.values["model"], taken.rest) == ("linear", ())
    assert render_arguments(taken.inputs, taken.values) == ("model=linear",)
    with pytest.raises(BadInput, match="'model' is required"):
        check_parameters(taken.inputs, {})


@pytest.mark.parametrize("word", ["+model=cubic", "~model", "~model=linear"])
def test_a_group_that_was_added_or_removed_stays_in_the_command(word: str) -> None:
    """Only a group of the defaults list can be set by its name."""
    taken = take_hydra(_seen(word))
    assert taken.rest == (word,)
    assert "model" not in [option.name for option in taken.inputs.options]


def test_journals_of_older_captures_have_no_groups() -> None:
    """What was journalled before is read as before."""
    assert [option.name for option in take_hydra(_seen(groups=[])).inputs.options] == ["lr", "model.kind"]
