"""The card of a run: the commands on it are the run's own."""

from __future__ import annotations

import shlex
from itertools import pairwise

from launch_jobs.card import Card, docker_command, render_card, submit_command
from launch_jobs.job import CodeSource, Entrypoint, Environment, Inputs, Job, JobVersion, JsonObject, Option, Overrides
from launch_jobs.targets import RunSpec

PROPERTIES: JsonObject = {
    "lr": {"type": "number", "default": 0.1},
    "words": {"type": "array", "items": {"type": "string"}, "default": []},
    "note": {"type": ["string", "null"], "default": None},
}


def _card(overrides: Overrides, **changes: object) -> Card:
    inputs = Inputs(
        parameters_schema={"type": "object", "properties": PROPERTIES},
        options=tuple(Option(name=name, flag=f"--{name}") for name in PROPERTIES),
    )
    job = Job(
        source=CodeSource(tree=f"sha256:{'0' * 64}"),
        entrypoint=Entrypoint(argv=("python", "train.py")),
        environment=Environment(python="3.11.7"),
        inputs=inputs,
    )
    version = JobVersion(name="train", version=3, job=job, created="2026-01-01T00:00:00Z")
    env = {"QUEUES": "operator's", "MINE": "a b", "LAUNCH_RUN_ID": "r", "LAUNCH_PARAMETERS": "{}"}
    spec = RunSpec(name="lj-r-a1", image="sha256:1", command=("python", "-u"), env=env, output_dir="/out", gpus=2)
    spec = spec.model_copy(update=changes)
    return Card(version, overrides, {"cpus": 2, "memory": "1Gi"}, "gpu", spec, True, frozenset({"QUEUES"}))


def test_the_submit_command_asks_for_the_same_run() -> None:
    """Every override is on it, quoted for a shell; an absent text, which no `-p` can write, is left to the capture."""
    overrides = Overrides(
        parameters={"lr": 3e-4, "words": ["a b", "c,d"], "note": None},
        args=("--x", "y z"),
        env={"A": "it's"},
        entrypoint=("python", "a b.py"),
        timeout_s=90,
        retries=2,
        datasets={"model": "outputs://r/1/model"},
    )
    card = _card(overrides)
    words = shlex.split(submit_command(card).replace("\\\n", " "))
    assert words[:5] == ["launch", "submit", card.version.reference, "-q", "gpu"]
    assert words[5:13] == ["-p", "lr=0.0003", "-p", 'words=["a b", "c,d"]', "--set", "cpus=2", "--set", 'memory="1Gi"']
    assert words[13:17] == ["--arg=--x", "--arg=y z", "--env", "A=it's"]
    assert words[17:21] == ["--dataset", "model=outputs://r/1/model", "--entrypoint", "python 'a b.py'"]
    assert words[21:] == ["--timeout", "90", "--retries", "2"]


def test_the_docker_command_has_the_runs_variables_but_not_the_operators_values() -> None:
    """The queue's variables come from the shell it is typed in; the run's identity is left out."""
    words = shlex.split(docker_command(_card(Overrides())).replace("\\\n", " "))
    env = [value for name, value in pairwise(words) if name == "--env"]
    assert env == ["QUEUES", "MINE=a b", "LAUNCH_PARAMETERS={}"]
    assert words[-4:] == ["--entrypoint", "python", "sha256:1", "-u"]
    assert "operator" not in render_card(_card(Overrides()))


def test_a_run_with_datasets_has_no_command_that_would_lack_them() -> None:
    """`docker run` alone has no other run's outputs."""
    assert "docker run" not in render_card(_card(Overrides(), datasets={"/data": "/here"}))


def test_a_command_too_long_to_read_is_not_shown() -> None:
    """A page of the UI is not filled by one value."""
    text = render_card(_card(Overrides(args=("x" * 100_000,))))
    assert "too long to show" in text
    assert len(text) < 20_000


def test_parameters_stand_in_the_programs_order() -> None:
    """As the form has them, with their defaults beside."""
    text = render_card(_card(Overrides(parameters={"words": [], "note": "n", "lr": 1.5})))
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == ["| `lr` | `1.5` | `0.1` |", "| `words` | `[]` | `[]` |", '| `note` | `"n"` | `null` |']
