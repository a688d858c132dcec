"""YAML: where each value stands in a text. What is changed is put in its place, and all around it stays.

Read with PyYAML, as nearly every Python program does (OmegaConf too): `on` is true. Its marks are exact, where a round
trip through a document tree would change quotes, indents and long lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

import yaml
from pydantic import JsonValue

from launch_jobs.config_files.leaves import Keys, Leaf, NotConfigError

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp"))
_PLAIN = _SCALARS - {_TAG + "timestamp"} | {_TAG + "seq", _TAG + "map"}
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)*")
"""Anchor and tag before a value; both stay."""

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)")
"""`1e-3` is a text to PyYAML, and a number to everybody else, and to whoever wrote it."""

_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
"""Signs that YAML takes for the end of a line, or for nothing: they are written as escapes."""


class _Found:
    """A value's node, where its text is, and how deep."""

    def __init__(self, keys: Keys, node: yaml.Node, text: str) -> None:
        self.keys, self.node = keys, node
        first = cast("yaml.Mark", node.start_mark).index
        found = _PROPERTIES.match(text, first, _end(node)) if not _is_block(node) else None
        self.start = found.end() if found else first
        self.end = self.start + len(text[self.start : _end(node)].rstrip())


def leaves(text: str) -> list[Leaf]:
    """Every value that is written where it is used: none behind an alias, `<<`, or a tag of the program's own.

    Raises:
        NotConfigError: the text is no YAML, several documents, or no mapping.
    """
    return [Leaf(one.keys, value, one.start, one.end) for one, value in _found(text)]


def rewrite(text: str, changes: Mapping[Keys, JsonValue]) -> str:
    """The text with some values changed."""
    for one, _ in sorted(_found(text), key=lambda pair: -pair[0].start):
        if one.keys in changes:
            text = text[: one.start] + _written(text, one, changes[one.keys]) + text[one.end :]
    return text


def _found(text: str) -> list[tuple[_Found, JsonValue]]:
    try:
        loader = yaml.SafeLoader(text)  # which looks at every character at once
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise NotConfigError("it is no mapping with names")
        nodes = list(_walk(root, (), {id(root)}))
        return [
            (_Found(keys, node, text), _value(loader, node))
            for keys, node in nodes
            if node.tag in _SCALARS or (isinstance(node, yaml.SequenceNode) and _is_plain(node))
        ]
    except (yaml.YAMLError, ValueError, KeyError) as error:  # KeyError: `!!bool` before what is none
        said = " ".join(str(error).split())
        raise NotConfigError(f"it is no YAML of one document: {said}") from error


def _walk(mapping: yaml.MappingNode, keys: Keys, seen: set[int]) -> Iterator[tuple[Keys, yaml.Node]]:
    names: set[str] = set()
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", mapping.value):
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if name in names:
            raise NotConfigError(f"{name!r} is there twice")
        names.add(name)
        seen.add(id(key))
        if isinstance(value, yaml.MappingNode) and key.tag == _TAG + "str" and value.tag == _TAG + "map":
            if id(value) not in seen:
                seen.add(id(value))
                yield from _walk(value, (*keys, name), seen)
        elif _is_new(value, seen) and key.tag == _TAG + "str" and not isinstance(value, yaml.MappingNode):
            yield (*keys, name), value


def _is_new(node: yaml.Node, seen: set[int]) -> bool:
    """Whether nothing of a value was met before; from now on all of it was. Lists of aliases stand for billions."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    is_new = True
    for one in _inside(node):
        is_new = _is_new(one, seen) and is_new  # looks at all of them
    return is_new


def _inside(node: yaml.Node) -> list[yaml.Node]:
    inner = cast("list[object]", node.value) if isinstance(node, yaml.CollectionNode) else []
    pairs = (cast("tuple[object, ...]", one) if isinstance(one, tuple) else (one,) for one in inner)
    return [each for pair in pairs for each in pair if isinstance(each, yaml.Node)]


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> JsonValue:
    if isinstance(node, yaml.ScalarNode) and (node.tag == _TAG + "timestamp" or _is_number(node)):
        text = str(node.value)
        return float(text) if _is_number(node) else text
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, one) for one in cast("list[yaml.Node]", node.value)]
    return cast("JsonValue", loader.construct_object(node, deep=True))  # pyright: ignore[reportUnknownMemberType]


def _is_number(node: yaml.ScalarNode) -> bool:
    return node.tag == _TAG + "str" and node.style is None and bool(_FLOAT.fullmatch(str(node.value)))


def _is_plain(node: yaml.Node) -> bool:
    return node.tag in _PLAIN and all(_is_plain(one) for one in _inside(node))


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _end(node: yaml.Node) -> int:
    """Where a node's own text ends; the mark of a block is behind the comments and empty lines that follow it."""
    while _is_block(node) and node.value:
        last = cast("list[object]", node.value)[-1]
        node = cast("yaml.Node", last[-1] if isinstance(last, tuple) else last)
    return cast("yaml.Mark", node.end_mark).index


def _written(text: str, one: _Found, value: JsonValue) -> str:
    if isinstance(value, list) and _is_block(one.node):
        return _block(one, value)
    before = " " if one.start == one.end else ""
    return before + _flow(value, one.node.style if isinstance(one.node, yaml.ScalarNode) else None, one.node.tag)


def _block(one: _Found, items: list[JsonValue]) -> str:
    column = cast("yaml.Mark", one.node.start_mark).column
    return ("\n" + " " * column).join(f"- {_flow(item, None, '')}" for item in items) if items else " []"


def _flow(value: JsonValue, style: str | None, tag: str) -> str:
    """A value on one line, as it may stand anywhere; a text in the quotes that were there."""
    if isinstance(value, str) and tag == _TAG + "timestamp" and _is_timestamp(value):
        return value
    quotes = None
    if isinstance(value, str):
        quotes = "'" if style == "'" and "\n" not in value else '"' if style or _FLOAT.fullmatch(value) else None
    dumped = yaml.safe_dump(
        [value],
        default_style=quotes,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=not _BREAKS.search(json.dumps(value, ensure_ascii=False)),
        width=1 << 20,
    )
    return dumped.strip()[1:-1]


def _is_timestamp(text: str) -> bool:
    loader = yaml.SafeLoader("")
    tag = cast("str", loader.resolve(yaml.ScalarNode, text, (True, False)))  # pyright: ignore[reportUnknownMemberType]
    return tag == _TAG + "timestamp"
