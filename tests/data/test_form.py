"""The parameter form of a job's deployment."""

from __future__ import annotations

from typing import cast

import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from launch_jobs.form import launch_schema
from launch_jobs.job import CodeSource, Entrypoint, Inputs, Job, JobVersion, JsonObject, Option

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "alpha": {"type": ["integer", "null"], "enum": [1, 2, None], "default": None, "description": "help"},
        "lr": {"type": "number", "default": 0.1},
        "widths": {"type": ["array", "null"], "items": {"type": "integer"}, "minItems": 1, "default": None},
    },
    "required": ["lr"],
    "additionalProperties": False,
}


def _form() -> JsonObject:
    options = tuple(Option(name=name, flag=f"--{name}") for name in ("widths", "lr", "alpha"))
    job = Job(
        source=CodeSource(tree=f"sha256:{'0' * 64}"),
        entrypoint=Entrypoint(argv=("sh",)),
        inputs=Inputs(parameters_schema=SCHEMA, options=options),
    )
    return launch_schema(JobVersion(name="train", version=0, job=job, created="2026-01-01T00:00:00Z"))


def _properties(schema: JsonValue) -> dict[str, JsonObject]:
    return cast("dict[str, JsonObject]", cast("JsonObject", schema)["properties"])


def test_hyperparameters_stand_in_the_programs_order() -> None:
    """The server forgets the order of a JSON object; the positions keep it."""
    properties = _properties(_properties(_form())["parameters"])
    assert sorted(properties, key=lambda name: cast("int", properties[name]["position"])) == ["widths", "lr", "alpha"]


def test_a_value_that_may_be_absent_is_drawn_as_a_choice_of_types() -> None:
    """Type, choices, default and help of it are all there, as pydantic writes them."""
    alpha = _properties(_properties(_form())["parameters"])["alpha"]
    choices = [{"type": "integer", "enum": [1, 2]}, {"type": "null"}]
    assert alpha == {"anyOf": choices, "default": None, "description": "help", "position": 2}


@pytest.mark.parametrize(
    "parameters",
    [{}, {"alpha": 2}, {"alpha": None}, {"alpha": 3}, {"widths": []}, {"widths": [1]}, {"widths": None}, {"x": 1}],
)
def test_the_form_takes_what_the_job_takes(parameters: JsonObject) -> None:
    """But for what is required: a run has the captured value of what is not given."""
    job = Draft202012Validator({**SCHEMA, "required": []})
    form = Draft202012Validator(_form())
    given = {"job": "train", "parameters": parameters}
    assert form.is_valid(given) == job.is_valid(parameters)  # pyright: ignore[reportUnknownMemberType] - no types


def test_fields_of_the_form_are_the_parameters_of_the_flow() -> None:
    """What the form sends the flow takes, and the other way round."""
    from flows.launch_job import launch_job

    assert list(_properties(_form())) == list(_properties(cast("JsonValue", launch_job.parameters.model_dump())))
