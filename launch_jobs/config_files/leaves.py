"""One value in a config file, and which of them can be parameters."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from launch_jobs.plain_json import DEEPEST, why_not_plain

Keys = tuple[str, ...]


class NotConfigError(Exception):
    """A text is no config file that we can read and write; the message says why."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is no mapping.

    Attributes:
        keys: of the mappings around it, the outermost first.
        value: as JSON.
        start: where its text begins.
        end: where its text ends.
    """

    keys: Keys
    value: JsonValue
    start: int = 0
    end: int = 0


def is_plain(leaf: Leaf) -> bool:
    """Whether a value can be a parameter: `-p name=value` can name it, and JSON, as others read it, can hold it."""
    named = all(key.isprintable() and key.strip() == key != "" and "=" not in key for key in leaf.keys)
    return named and len(leaf.keys) <= DEEPEST and why_not_plain(leaf.value) is None
