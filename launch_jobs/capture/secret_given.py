"""Values that a submission gives: a server keeps them as they are, so that a secret of a known shape is refused."""

from __future__ import annotations

import json

from pydantic import JsonValue

from launch_jobs.capture.secrets import secrets_in
from launch_jobs.errors import Refused
from launch_jobs.job import JsonObject, Overrides


def check_given(overrides: Overrides, parameters: JsonObject) -> None:
    """Judge what is given for one run.

    Args:
        overrides: the run's own.
        parameters: the values that were given, not the job's own ones.

    Raises:
        Refused: one is a secret; names where it was given and its kind, never the value.
    """
    for where, name, value in (
        *(("-p", name, value) for name, value in parameters.items()),
        *(("--env", name, value) for name, value in overrides.env.items()),
        *(("--arg", "word", value) for value in overrides.args),
        *(("--entrypoint", "word", value) for value in overrides.entrypoint or ()),
    ):
        text = value if isinstance(value, str) else _text(value)
        # With its name: some kinds are known only by what is written before them.
        if found := secrets_in(f"{name}={text}"):
            raise Refused(
                f"{where} {name} holds a secret ({found[0].kind} {found[0].masked}), which the server would keep",
                do="Let the queue give it (`env` in its template, written by an operator), or let the program read it "
                "where it runs",
            )


def _text(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)
