"""`launch_jobs.track`: what a script gives is what it gets, of the same type, with the launch's values in it."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from launch_jobs.arguments import complete_parameters, properties_of
from launch_jobs.capture.observation import read_parameters
from launch_jobs.capture.parameters import CapturedInputs, capture_inputs
from launch_jobs.capture.tracked_inputs import with_tracked
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.tracker.track import track


class Mode(enum.Enum):
    """A choice of a script."""

    FAST = "fast"
    SLOW = "slow"


@dataclasses.dataclass(frozen=True)
class Inner:
    """A part of a script's configuration."""

    depth: int = 2
    sizes: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True)
class Plain:
    """A script's configuration."""

    lr: float = 0.1
    mode: Mode = Mode.FAST
    data: Path = Path("in.csv")
    model: Inner = Inner()


class InnerModel(BaseModel):
    """A part of a script's configuration."""

    depth: int = Field(default=2, ge=1, le=9)


class Model(BaseModel):
    """A script's configuration."""

    lr: float = Field(default=0.1, gt=0, description="rate")
    limit: float | None = None
    model: InnerModel = InnerModel()


CHANGES: JsonObject = {"lr": 1, "mode": "slow", "data": "b.csv", "model.depth": 5, "model.sizes": [3]}
AS_DICT: dict[str, Any] = {"lr": 0.1, "model": {"depth": 2, "sizes": (1, 2)}}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tracks parameters under `launch run`, and gives what is captured of them."""
    monkeypatch.setenv("LAUNCH_TRACK_DIR", str(tmp_path))
    monkeypatch.delenv("LAUNCH_RUN_ID", raising=False)

    def tracked(parameters: object, schema: dict[str, Any] | None = None) -> CapturedInputs:
        assert track("t", parameters, schema).parameters == parameters
        return with_tracked(capture_inputs(["python"], None), read_parameters(tmp_path), tmp_path)

    return tracked


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Plain(), Plain(1.0, Mode.SLOW, Path("b.csv"), Inner(5, (3,)))),
        (Model(), Model(lr=1.0, model=InnerModel(depth=5))),
        (argparse.Namespace(lr=0.1, x=1), argparse.Namespace(lr=1.0, x=1)),
        ({"lr": 0.1, "model": Inner()}, {"lr": 1.0, "model": Inner(5, (3,)), "mode": "slow", "data": "b.csv"}),
        (AS_DICT, {"lr": 1.0, "model": {"depth": 5, "sizes": (3,)}, "mode": "slow", "data": "b.csv"}),
    ],
)
def test_launched_values_take_their_places(given: object, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type is the script's, and so is that of each value; nothing that was given is changed."""
    before = repr(given)
    monkeypatch.setenv("LAUNCH_RUN_ID", "1")
    monkeypatch.setenv("LAUNCH_PARAMETERS", json.dumps(CHANGES))

    got = track("t", given).parameters

    assert got == expected
    assert type(got) is type(expected)
    assert repr(given) == before


@pytest.mark.parametrize("given", [Plain(), Model(), AS_DICT, argparse.Namespace(lr=0.1, model=Inner())])
def test_a_launch_may_set_what_was_tracked(given: object, record: Any) -> None:
    """Inner values have dotted names; a value of another type is refused."""
    captured = record(given)

    changed = complete_parameters(captured.inputs, captured.values, {"model.depth": 5})

    assert changed == {**captured.values, "model.depth": 5}
    with pytest.raises(BadInput, match=r"'model\.depth'"):
        complete_parameters(captured.inputs, captured.values, {"model.depth": "deep"})


def test_a_models_own_schema_holds(record: Any) -> None:
    """Bounds and descriptions of pydantic fields are those of the parameters; None stays allowed."""
    captured = record(Model())

    assert properties_of(captured.inputs)["lr"] == {
        **{"type": "number", "exclusiveMinimum": 0, "description": "rate", "title": "lr"},
    }
    assert properties_of(captured.inputs)["limit"]["type"] == ["number", "null"]
    assert properties_of(captured.inputs)["model.depth"]["maximum"] == 9


def test_a_given_schema_holds_where_the_values_fit_it(record: Any) -> None:
    """`schema=` says more than the values; where it contradicts them, they count."""
    schema = {"type": "object", "properties": {"lr": {"type": "number", "maximum": 1}, "x": {"type": "string"}}}

    properties = properties_of(record({"lr": 0.1, "x": 1}, schema).inputs)

    assert properties["lr"] == {"type": "number", "maximum": 1, "title": "lr"}
    assert properties["x"]["type"] == "integer"


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, b"x", {1: 2, "1": 3}, object(), "\ud800", {"a": {1, "b", None}, 2: 1}, "x" * (1 << 21)],
)
def test_what_json_cannot_say_stays_the_scripts_own(value: object, record: Any) -> None:
    """It is noted as text at most, no launch can set it, and the others are captured all the same."""
    captured = record({"odd": value, "lr": 0.1})

    assert list(properties_of(captured.inputs)) == ["lr"]


@pytest.mark.parametrize("value", [-0.0, 2**80, {3, 1}, Path("a"), Mode.SLOW, (1, 2)])
def test_what_json_can_say_is_captured(value: object, record: Any) -> None:
    """Sets, paths, members and tuples have a form in JSON, and come back as what they were."""
    captured = record({"odd": value})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAUNCH_RUN_ID", "1")
        patch.setenv("LAUNCH_PARAMETERS", json.dumps(captured.values))
        got = track("t", {"odd": value}).parameters["odd"]

    assert (got, type(got)) == (value, type(value))


def test_a_thousand_levels_are_no_problem(record: Any) -> None:
    """Deep values are cut where no launch would name them."""
    deep: Any = {"leaf": 1}
    for _ in range(1000):
        deep = {"in": deep}

    assert record({"deep": deep, "lr": 0.1}).values["lr"] == 0.1
    assert os.environ["LAUNCH_TRACK_DIR"]
