"""What a user says of a job that no run was watched for: Python, Dockerfile, base image, parameters. Checked here."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import JsonValue

from launch_jobs.capture.examples import schema_by
from launch_jobs.capture.tree import Snapshot
from launch_jobs.errors import BadInput
from launch_jobs.job import Inputs, Job, JsonObject
from launch_jobs.names import ImageRef, canonical_json

_LARGEST_SCHEMA = 1 << 20
_PYTHON = re.compile(r"3\.[0-9]{1,2}(?:\.[0-9]{1,3})?")
_SCHEMA = "The parameters' schema"


class Choices(TypedDict, total=False):
    """Options of captures without a run; None is as good as not given.

    Attributes:
        python: version instead of the interpreter's own, as 3.12 or 3.12.4.
        dockerfile: path in the source tree of the Dockerfile to build instead of a generated one.
        base_image: image to build upon instead of the queue's.
        build_context: folder of the source to take as the whole source: Dockerfile and command are relative to it.
        schema: JSON schema of the parameters, which reach the program as LAUNCH_PARAMETERS.
        secret_files: paths that may hold secrets, relative to here or to the source root; each is noted.
        notebook_magics: cells of a notebook with magics run under IPython, and are not refused.
        datasets: the job's, by name (see `declare_datasets`); their paths are relative to here.
    """

    python: str | None
    dockerfile: str | None
    base_image: str | None
    build_context: str | None
    schema: JsonObject | None
    secret_files: Sequence[str]
    notebook_magics: bool
    datasets: Mapping[str, str]


def check_choices(choices: Choices) -> None:
    """Before anything is captured: whatever can be said without the source.

    Raises:
        BadInput: one is malformed, or two exclude each other.
    """
    python, base_image = choices.get("python"), choices.get("base_image")
    if python and not _PYTHON.fullmatch(python):
        raise BadInput(f"{python!r} is no Python version", do="Write it as 3.12 or 3.12.4")
    if base_image is not None:
        ImageRef.parse(base_image)
    if base_image and choices.get("dockerfile"):
        raise BadInput("A base image and a Dockerfile exclude each other", do="Name the base image in its FROM")
    if (schema := choices.get("schema")) is not None:
        check_schema(schema)


def chosen(job: Job, choices: Choices, snapshot: Snapshot) -> Job:
    """The job as the user wants it.

    Raises:
        BadInput: the Dockerfile is not in the source.
    """
    update: dict[str, object] = {}
    if python := choices.get("python"):
        update["environment"] = job.environment.model_copy(update={"python": python})
    if dockerfile := choices.get("dockerfile"):
        update["dockerfile"] = _in_source(dockerfile, snapshot)
    if base_image := choices.get("base_image"):
        update["base_image"] = base_image
    if (schema := choices.get("schema")) is not None:
        update["inputs"] = Inputs(parameters_schema=schema)
    return job.model_copy(update=update)


def inputs_by(values: JsonObject) -> Inputs:
    """Inputs that the program reads from LAUNCH_PARAMETERS, their schema by what they are now."""
    if not values:
        return Inputs()
    properties: JsonObject = {name: {**schema_by(value), "title": name} for name, value in values.items()}
    return Inputs(parameters_schema={"type": "object", "properties": properties, "additionalProperties": False})


def context_folder(root: Path, choices: Choices) -> Path | None:
    """The folder of the source that is the build context; None if none was chosen.

    Raises:
        BadInput: it is not a folder inside the source.
    """
    chosen_folder = choices.get("build_context")
    if not chosen_folder:
        return None
    folder = (root / chosen_folder).resolve()
    if not folder.is_dir() or not folder.is_relative_to(root.resolve()):
        raise BadInput(f"The build context {chosen_folder!r} is no folder in {root}", do="Name a folder of the source")
    return folder


def read_schema(path: Path) -> JsonObject:
    """The parameters' schema in a JSON file.

    Raises:
        BadInput: it cannot be read, or is no such schema; says where.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_SCHEMA + 1)
        if len(content) > _LARGEST_SCHEMA:
            raise BadInput(f"{_SCHEMA} {path} is larger than {_LARGEST_SCHEMA:,} bytes")
        found: object = json.loads(content, object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{_SCHEMA} {path} is no readable JSON ({error})", do="Mend the file") from error
    return check_schema(found)


def check_schema(schema: object) -> JsonObject:
    """Return what is a JSON schema of an object with one property a parameter.

    Raises:
        BadInput: it is none, refers to another place, or a default is not what it allows; says where.
    """
    if not isinstance(schema, dict) or cast("JsonObject", schema).get("type") != "object":
        raise BadInput(f"{_SCHEMA} is not that of an object", do='Write {"type": "object", "properties": {…}}')
    known = cast("JsonObject", schema)
    try:
        canonical_json(known)
        Draft202012Validator.check_schema(known)
    except SchemaError as error:
        raise BadInput(f"{_SCHEMA} is none: {_place(error.absolute_path)}: {error.message}", do="Mend it") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"{_SCHEMA} has no JSON form: {error}", do="Mend it") from error
    _check_properties(known)
    return known


def _check_properties(schema: JsonObject) -> None:
    if "$ref" in _keys(schema):
        raise BadInput(f"{_SCHEMA} holds a $ref", do="Write what it refers to in its place")
    properties = cast("JsonObject", schema.get("properties", {}))
    for name, one in properties.items():
        if not isinstance(one, dict):
            raise BadInput(f"{_SCHEMA}: parameter {name!r} has no schema of its own", do="Describe it by an object")
        if "default" in one:
            errors = Draft202012Validator(one).iter_errors(one["default"])  # pyright: ignore[reportUnknownMemberType]  jsonschema has no types
            if (wrong := next(cast("Iterator[ValidationError]", errors), None)) is not None:
                raise BadInput(f"{_SCHEMA}: the default of {name!r}: {wrong.message}", do="Mend the default")


def _in_source(path: str, snapshot: Snapshot) -> str:
    wanted = posixpath.normpath(path)
    if wanted not in {entry.path for entry in snapshot.files}:
        raise BadInput(f"The Dockerfile {path!r} is not in the source", do=f"Name it relative to {snapshot.root}")
    return wanted


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _keys(value: JsonValue) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _place(path: object) -> str:
    return "/".join(str(part) for part in cast("list[object]", path)) or "at its top"
