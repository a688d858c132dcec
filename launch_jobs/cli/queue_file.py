"""A launch queue as a file describes it, for `launch queue apply`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from launch_jobs.errors import BadInput
from launch_jobs.job import Frozen, JsonObject


class QueueFile(Frozen):
    """Everything that makes a queue; what is left out has its default."""

    name: str
    type: str = Field(description="docker, kubernetes or process.")
    description: str = ""
    limit: int | None = Field(default=None, ge=1, strict=True, description="Most runs at once, over all agents.")
    registry: str | None = Field(default=None, description="Registry block: built images go there.")
    variables: JsonObject = Field(default_factory=dict, description="Default values of job variables, by name.")
    operator: JsonObject = Field(
        default_factory=dict, description="What its operator alone decides, by name, such as a cluster's namespace."
    )
    template: JsonObject | None = Field(default=None, description="Base job template, where its defaults do not do.")


def read_queue_file(path: Path) -> QueueFile:
    """The queue that a YAML or JSON file describes.

    Raises:
        BadInput: the file is no such thing; the message names the field.
    """
    try:
        content: object = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no readable YAML or JSON ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} describes no queue", do="Write name, type, and what is not the default")
    try:
        return QueueFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        known = f"A queue has: {', '.join(QueueFile.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise BadInput(f"{path}, field {field!r}: {first['msg']}", do=known) from error
