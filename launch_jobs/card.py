"""The card of a run: what runs, in what, and how to have it again, for people who look at it in the UI. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from launch_jobs.arguments import properties_of
from launch_jobs.errors import BadInput
from launch_jobs.job import Environment, Inputs, JobVersion, JsonObject, Overrides
from launch_jobs.markdown import code, code_block, table
from launch_jobs.parameter_text import parse_parameter_text
from launch_jobs.targets import RunSpec

_MOST_ROWS = 200
_MOST_DISTRIBUTIONS = 12
_LONGEST_COMMAND = 8000
_OURS = frozenset({"LAUNCH_RUN_ID", "LAUNCH_ATTEMPT", "LAUNCH_JOB", "LAUNCH_QUEUE"})
_KNOWN = (
    *("torch", "tensorflow", "jax", "keras", "lightning", "transformers", "datasets", "accelerate", "diffusers"),
    *("xgboost", "lightgbm", "catboost", "scikit-learn", "numpy", "scipy", "pandas", "polars", "pyarrow"),
    *("matplotlib", "opencv-python", "pillow", "hydra-core", "omegaconf"),
)
"""The distributions that people ask for first, in this order; the rest follows by name."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the card tells of.

    Attributes:
        version: the job.
        overrides: the run's, with all its parameters.
        variables: job variables that the submitter set.
        queue: its name; empty for a flow called from Python.
        spec: what the target is asked for.
        is_container: whether the target runs containers.
        queue_env: names of the environment variables that the queue sets; their values are its operator's.
    """

    version: JobVersion
    overrides: Overrides
    variables: JsonObject
    queue: str
    spec: RunSpec
    is_container: bool
    queue_env: frozenset[str] = frozenset()


def render_card(card: Card) -> str:
    """The card as Markdown, in which every text of others is code."""
    facts = "\n".join(f"- {name}: {code(value)}" for name, value in _facts(card))
    parts = [f"# Job {card.version.label}", facts]
    if card.overrides.parameters:
        parts += ["## Parameters", table(("name", "value", "default"), _parameters(card))]
    return "\n\n".join([*parts, "## Reproduce", code_block("\n".join(_commands(card)))]) + "\n"


def _facts(card: Card) -> list[tuple[str, str]]:
    job, spec = card.version.job, card.spec
    facts = [
        ("job", card.version.reference),
        ("source", _source(card.version)),
        ("command", shlex.join(spec.command)),
        ("queue", card.queue),
        ("attempt", spec.name),
        ("image" if card.is_container else "environment", spec.image),
        ("Python", f"{job.environment.python} on {job.environment.platform}" if job.environment.python else ""),
        ("packages", _main_distributions(job.environment)),
    ]
    return [(name, value) for name, value in facts if value]


def _source(version: JobVersion) -> str:
    source = version.job.source
    if source.type == "git":
        return f"git {source.commit}" + (" with uncommitted changes" if version.origin.patch else "")
    return f"image {source.reference}" if source.type == "image" else f"code, tree {source.tree}"


def _main_distributions(environment: Environment) -> str:
    there = {distribution.name: distribution.version for distribution in environment.distributions}
    names = [*(name for name in _KNOWN if name in there), *sorted(there.keys() - set(_KNOWN))]
    shown = ", ".join(f"{name} {there[name]}" for name in names[:_MOST_DISTRIBUTIONS])
    more = len(names) - _MOST_DISTRIBUTIONS
    return f"{shown}, and {more} more" if more > 0 else shown


def _parameters(card: Card) -> list[tuple[str, str, str]]:
    """Name, value and default of each, in the order in which the program declares them."""
    properties, given = properties_of(card.version.job.inputs), card.overrides.parameters
    declared = [option.name for option in card.version.job.inputs.options if option.name in given]
    names = [*declared, *sorted(given.keys() - set(declared))][:_MOST_ROWS]
    return [(name, _json(given[name]), _default(properties.get(name, {}))) for name in names]


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _default(schema: JsonObject) -> str:
    return _json(schema["default"]) if "default" in schema else "none"


def _commands(card: Card) -> list[str]:
    reference = card.version.reference
    lines = ["# the same again", submit_command(card)]
    if card.version.job.source.type != "image":
        lines += ["# its source tree, byte for byte", f"launch job checkout {reference} {card.version.name}"]
    if card.is_container and not card.spec.datasets:
        lines += ["# the same container by hand, on that Docker Engine", "mkdir -m 777 outputs", docker_command(card)]
    return lines


def submit_command(card: Card) -> str:
    """`launch submit …` that asks for this run again."""
    overrides = card.overrides
    options = [("-q", card.queue)] if card.queue else []
    options += [("-p", f"{name}={text}") for name, text in _as_typed(card).items()]
    options += [("--set", f"{name}={json.dumps(value)}") for name, value in card.variables.items()]
    options += [(f"--arg={text}",) for text in overrides.args]
    options += [("--env", f"{name}={value}") for name, value in overrides.env.items()]
    options += [("--dataset", f"{name}={url}") for name, url in overrides.datasets.items()]
    options += [("--entrypoint", shlex.join(overrides.entrypoint))] if overrides.entrypoint else []
    options += [("--timeout", f"{overrides.timeout_s:g}")] if overrides.timeout_s else []
    options += [("--retries", str(overrides.retries))] if overrides.retries else []
    return _lines(("launch", "submit", card.version.reference), options)


def _lines(words: Sequence[str], options: Sequence[Sequence[str]]) -> str:
    """A command with each option on a line of its own, as a shell takes it."""
    command = " \\\n  ".join(shlex.join(part) for part in (words, *options) if part)
    return command if len(command) <= _LONGEST_COMMAND else f"# {shlex.join(words[:2])} …: too long to show"


def _as_typed(card: Card) -> dict[str, str]:
    """Parameters as `-p` takes them; one that it cannot write (an absent text) keeps its captured value."""
    inputs, parameters = card.version.job.inputs, card.overrides.parameters
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return {name: text for name, text in texts.items() if _reads_back(inputs, name, text, parameters[name])}


def _reads_back(inputs: Inputs, name: str, text: str, value: JsonValue) -> bool:
    try:
        return json.dumps(parse_parameter_text(inputs, name, text)) == json.dumps(value)
    except BadInput:
        return False


def docker_command(card: Card) -> str:
    """`docker run …` that does what the container of this run did. Values of the queue's variables are left out."""
    spec = card.spec
    limits = {
        "--cpus": f"{spec.cpus:g}" if spec.cpus else "",
        "--memory": str(spec.memory_bytes or ""),
        "--shm-size": str(spec.shm_bytes or ""),
        "--gpus": str(spec.gpus or ""),
        "--network": spec.network or "",
        "--workdir": spec.directory or "",
    }
    env = {name: value for name, value in spec.env.items() if name not in _OURS}
    options = [(name, value) for name, value in limits.items() if value]
    options += [("--env", name if name in card.queue_env else f"{name}={value}") for name, value in env.items()]
    options += [("--entrypoint", spec.command[0])] if spec.command else []
    words = ("docker", "run", "--rm", "--init", "-v", f"./outputs:{spec.output_dir}")
    return _lines(words, [*options, (spec.image, *spec.command[1:])])
