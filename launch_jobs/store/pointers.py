"""Objects that move: an alias, a log that grew."""

from __future__ import annotations

from pydantic import BaseModel

from launch_jobs.errors import NotFound
from launch_jobs.store import Objects
from launch_jobs.store.envelope import seal


def get_or_none(objects: Objects, key: str) -> bytes | None:
    """An object's content; None if there is none."""
    try:
        return objects.get(key)
    except NotFound:
        return None


def point(objects: Objects, key: str, model: BaseModel) -> None:
    """Let the last writer win; a pointer is not read, so that a damaged one is mended by writing it."""
    data = seal(key, model)
    while (current := get_or_none(objects, key)) != data and not objects.replace(key, data, expected=current):
        pass
