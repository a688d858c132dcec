"""Config files as text: the values in them, each by its keys, and the same text with some of them changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from pydantic import JsonValue

from launch_jobs.config_files import json_text, toml_text, yaml_text
from launch_jobs.config_files.leaves import Keys, Leaf, NotConfigError, is_plain
from launch_jobs.errors import BadInput
from launch_jobs.names import canonical_json

__all__ = ["LARGEST", "SUFFIXES", "ConfigText", "Keys", "Leaf", "NotConfigError", "dotted", "read_config"]

LARGEST = 1 << 16
"""Bytes of a config file. Its values go to the program as one environment variable too, of 128 KiB at most."""


class _Format(Protocol):
    def leaves(self, text: str) -> list[Leaf]: ...
    def rewrite(self, text: str, changes: Mapping[Keys, JsonValue]) -> str: ...


_FORMATS: dict[str, _Format] = {".json": json_text, ".toml": toml_text, ".yaml": yaml_text, ".yml": yaml_text}
SUFFIXES = frozenset(_FORMATS)


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A config file that was read.

    Attributes:
        path: relative to the source root; its ending tells the format.
        text: as it is, line ends included.
        values: each value that can be a parameter, by its keys from the outermost on.
    """

    path: str
    text: str
    values: Mapping[Keys, JsonValue]

    def changed(self, changes: Mapping[Keys, JsonValue]) -> str:
        """The text with some values changed, and nothing else.

        Raises:
            BadInput: the format cannot hold a value, or not without changing others.
        """
        wanted: dict[Keys, JsonValue] = {}
        for keys, value in {**self.values, **changes}.items():
            wanted |= _flat(keys, value) if keys in changes else {keys: value}
        names = ", ".join(dotted(keys) for keys in changes)
        try:
            text = _format_of(self.path).rewrite(self.text, changes)
            found = read_config(self.path, text).values
        except (NotConfigError, RecursionError) as error:
            raise BadInput(f"{names} cannot be changed in {self.path}: {error}") from error
        if {keys: canonical_json(one) for keys, one in found.items()} != {
            keys: canonical_json(one) for keys, one in wanted.items()
        }:
            raise BadInput(f"{names} cannot be changed in {self.path} without changing more of it")
        return text


def read_config(path: str, text: str) -> ConfigText:
    """Read a config file.

    Raises:
        NotConfigError: it is none, or holds nothing that could be a parameter; says why.
    """
    try:
        leaves = _format_of(path).leaves(text)
    except RecursionError as error:
        raise NotConfigError("it is nested too deeply") from error
    return ConfigText(path, text, {leaf.keys: leaf.value for leaf in leaves if is_plain(leaf)})


def dotted(keys: Keys) -> str:
    """The name of a value: its keys with dots between; a dot inside a key is written `\\.`, a backslash twice."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)


def _format_of(path: str) -> _Format:
    found = _FORMATS.get(PurePosixPath(path).suffix.lower())
    if found is None:
        raise NotConfigError("its name does not end in .json, .yaml, .yml or .toml")
    return found


def _flat(keys: Keys, value: JsonValue) -> dict[Keys, JsonValue]:
    if not isinstance(value, dict):
        return {keys: value}
    found: dict[Keys, JsonValue] = {}
    for name, one in value.items():
        found |= _flat((*keys, name), one)
    return found
