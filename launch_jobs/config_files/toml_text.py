"""TOML, through tomlkit, which keeps comments, order and white space."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import date, time
from typing import cast

import tomlkit
from pydantic import JsonValue
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from launch_jobs.config_files.leaves import Keys, Leaf, NotConfigError


def leaves(text: str) -> list[Leaf]:
    """Every value but lists of tables. A date is a parameter as text.

    Raises:
        NotConfigError: the text is no TOML.
    """
    return [Leaf(keys, _plain(value)) for keys, value in _walk(_loaded(text), ())]


def rewrite(text: str, changes: Mapping[Keys, JsonValue]) -> str:
    """The text with some values changed.

    Raises:
        NotConfigError: TOML has no such value (null).
    """
    values = dict(_walk(_loaded(text), ()))
    document = tomlkit.parse(text)
    try:
        for keys, value in changes.items():
            table = cast("MutableMapping[str, object]", document)
            for key in keys[:-1]:
                table = cast("MutableMapping[str, object]", table[key])
            table[keys[-1]] = _item(value, values.get(keys), table[keys[-1]])
        return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]  a parameter of any mapping
    except (ValueError, TOMLKitError) as error:
        raise NotConfigError(f"TOML has no such value ({error})") from error


def _loaded(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and Python's own limit on the digits of a number
        raise NotConfigError(f"it is no TOML: {error}") from error


def _walk(table: dict[str, object], keys: Keys) -> Iterator[tuple[Keys, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _walk(cast("dict[str, object]", value), (*keys, name))
        elif not _holds_tables(value):
            yield (*keys, name), value


def _holds_tables(value: object) -> bool:
    return isinstance(value, list) and any(
        isinstance(one, dict) or _holds_tables(one) for one in cast("list[object]", value)
    )


def _plain(value: object) -> JsonValue:
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[object]", value)]
    return value.isoformat() if isinstance(value, (date, time)) else cast("JsonValue", value)


def _item(value: JsonValue, before: object, old: object) -> object:
    """A date stays one; a list that stood on several lines stands so again."""
    if isinstance(before, (date, time)) and isinstance(value, str):
        return tomlkit.value(value)
    if value is None:
        raise NotConfigError("TOML has no null")
    item = tomlkit.item(value)
    if isinstance(item, Array) and "\n" in str(getattr(old, "as_string", str)()):
        return item.multiline(multiline=True)
    return item
