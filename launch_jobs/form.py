"""The parameter form of a deployment, as a JSON schema that both of Prefect's UIs can draw. Pure."""

from __future__ import annotations

from typing import cast

from pydantic import JsonValue

from launch_jobs.arguments import properties_of
from launch_jobs.job import Inputs, JobVersion, JsonObject

_STRINGS: JsonObject = {"type": "array", "items": {"type": "string"}}


def launch_schema(version: JobVersion | None = None) -> JsonObject:
    """The parameter form of the launch flow: any job's, or one job's with its own hyperparameters."""
    parameters: JsonObject = _hyperparameters(version.job.inputs) if version else {"type": "object"}
    fields: dict[str, JsonObject] = {
        "job": {"type": "string", "title": "Job", "description": "name, name:v3 or name@sha256:…"},
        "parameters": {
            **parameters,
            "title": "Parameters",
            "description": "Hyperparameters; what is left out keeps its captured value.",
        },
        "args": {**_STRINGS, "title": "Arguments", "description": "Appended to the command."},
        "env": {
            "type": "object",
            "title": "Environment",
            "description": 'Environment variables of the program, as a JSON object: {"NAME": "value"}.',
            "additionalProperties": {"type": "string"},
        },
        "entrypoint": {**_STRINGS, "title": "Entrypoint", "description": "Replaces the job's command."},
        "timeout": {
            "type": "number",
            "title": "Timeout",
            "exclusiveMinimum": 0,
            "description": "Maximum runtime in seconds.",
        },
        "datasets": {
            "type": "object",
            "title": "Datasets",
            "description": 'What other runs left: {"NAME": "outputs://<run id>/<attempt>[/<path>]"}.',
            "additionalProperties": {"type": "string"},
        },
        "retries": {
            "type": "integer",
            "title": "Retries",
            "minimum": 0,
            "maximum": 100,
            "description": "Further attempts after one that failed or crashed.",
        },
    }
    properties: JsonObject = {name: {**field, "position": place} for place, (name, field) in enumerate(fields.items())}
    return {"type": "object", "title": "Parameters", "properties": properties, "required": ["job"]}


def _hyperparameters(inputs: Inputs) -> JsonObject:
    """A job's hyperparameters in the order in which the program declares them.

    The server keeps objects without their order, so each has its position. A run takes the captured values of what is
    not given, so nothing is required.
    """
    declared = {option.name: place for place, option in enumerate(inputs.options)}
    found = properties_of(inputs)
    ordered = sorted(found, key=lambda name: (declared.get(name, len(declared)), name))
    properties: JsonObject = {name: {**_drawn(found[name]), "position": place} for place, name in enumerate(ordered)}
    schema = {key: value for key, value in inputs.parameters_schema.items() if key != "required"}
    return {**schema, "properties": properties}


def _drawn(schema: JsonObject) -> JsonObject:
    """A choice of types as `anyOf`, as pydantic writes it: one of the UIs draws nothing for a list of types."""
    types = schema.get("type")
    if not isinstance(types, list):
        return schema
    around = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in {*around, "type", "enum"}}
    choices: list[JsonObject] = []
    for kind in types:
        choice: JsonObject = {"type": "null"} if kind == "null" else {**inner, "type": kind}
        if kind != "null" and "enum" in schema:
            choice["enum"] = [value for value in cast("list[JsonValue]", schema["enum"]) if value is not None]
        choices.append(choice)
    return {**around, "anyOf": [*choices]}
