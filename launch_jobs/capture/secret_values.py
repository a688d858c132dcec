"""Values of parameters that are secret: a job says that there is such a parameter, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from launch_jobs.capture.secrets import secrets_in
from launch_jobs.errors import Refused

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.capture.parameters import CapturedInputs
    from launch_jobs.job import JsonObject

HIDDEN = "****"
_NAMED = re.compile(
    r"(?i)(?:.*[-_.])?(?:password|passwd|passphrase|secret|(?:secret|api|access|private)[-_]?key|"
    r"(?:access|auth|api|hf|huggingface|wandb|github|gitlab|bearer|openai)[-_]token)"
)
_SHORTEST = 6


def names_secret(name: str) -> bool:
    """Whether a parameter's or option's name says that its value is secret: `--db-password`, not `--pad-token`."""
    return bool(_NAMED.fullmatch(name.lstrip("-")))


def is_secret(name: str, value: JsonValue) -> bool:
    """Whether a value must not be stored: for its own shape, or for the name of what it is given to."""
    if not isinstance(value, str):
        return False
    return bool(secrets_in(value)) or (names_secret(name) and len(value) >= _SHORTEST and not value.startswith("$"))


def check_command(words: Sequence[str]) -> None:
    """Judge a command line, which becomes part of the job.

    Raises:
        Refused: a word of it is a secret; names the option or place, never the value.
    """
    for place, word in enumerate(words):
        before = words[place - 1] if place and words[place - 1].startswith("-") else ""
        name, equals, value = word.partition("=") if word.startswith("-") else (before, "=", word)
        if equals and is_secret(name, value):
            found = secrets_in(value)
            kind = f"{found[0].kind} {found[0].masked}" if found else "by its name"
            raise Refused(
                f"the command line holds a secret in {name or f'word {place + 1}'} ({kind}), and would be stored",
                do="Let the program read it from an environment variable",
            )


def without_secrets(captured: CapturedInputs) -> CapturedInputs:
    """The same inputs without secret values and defaults, such as one read from the environment.

    The parameter itself stays; a run that does not give it leaves it to the program, as this run did.
    """
    from launch_jobs.arguments import properties_of

    properties = properties_of(captured.inputs)
    defaults = {name: schema.get("default") for name, schema in properties.items()}
    hidden = {name for name, value in [*captured.values.items(), *defaults.items()] if is_secret(name, value)}
    if not hidden:
        return captured
    schema = captured.inputs.parameters_schema
    cleaned = {
        name: _cleaned(one, captured.values.get(name)) if name in hidden else one for name, one in properties.items()
    }
    inputs = captured.inputs.model_copy(update={"parameters_schema": {**schema, "properties": cleaned}})
    note = f"Not stored, for they are secret: the values of {', '.join(sorted(hidden))}."
    values = {name: value for name, value in captured.values.items() if name not in hidden}
    return replace(captured, inputs=inputs, values=values, note=f"{captured.note} {note}" if captured.note else note)


def hide_secrets(values: JsonObject) -> JsonObject:
    """The same values, with each text in them hidden that is secret."""
    return {name: _hide(name, value) for name, value in values.items()}


def _hide(name: str, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return hide_secrets(value)
    if isinstance(value, list):
        return [_hide(name, one) for one in value]
    return HIDDEN if is_secret(name, value) else value


def _cleaned(schema: JsonObject, value: JsonValue) -> JsonObject:
    secret = {text for text in (schema.get("default"), value) if isinstance(text, str) and text}
    cleaned = {key: one for key, one in schema.items() if key != "default"}
    for key in ("description", "title"):
        for text in secret:
            if isinstance(cleaned.get(key), str):
                cleaned[key] = cast("str", cleaned[key]).replace(text, HIDDEN)
    return cleaned
