"""What a Docker Engine remembers of a container, for people who ask why it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from launch_jobs.job import JsonObject

_TOLD = frozenset({"create", "start", "oom", "kill", "stop", "die", "pause", "unpause", "restart", "destroy"})
_MOST = 50


class _Actor(BaseModel):
    attributes: dict[str, str] = Field(default_factory=dict, alias="Attributes")


class _Event(BaseModel):
    action: str = Field(alias="Action")
    actor: _Actor = Field(alias="Actor")
    nanoseconds: int = Field(alias="timeNano")


def event_lines(events: Iterable[JsonObject]) -> tuple[str, ...]:
    """`2026-01-01T00:00:00.123+00:00 kill signal=15`: the latest of a container's life, one a line."""
    return tuple(_line(one) for one in map(_Event.model_validate, events) if one.action in _TOLD)[-_MOST:]


def _line(event: _Event) -> str:
    moment = datetime.fromtimestamp(event.nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds")
    told = [
        f"{name}={event.actor.attributes[name]}" for name in ("signal", "exitCode") if name in event.actor.attributes
    ]
    return " ".join([moment, event.action, *told])
