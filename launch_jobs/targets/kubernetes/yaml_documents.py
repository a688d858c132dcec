"""YAML as operators write it for Kubernetes: plain values only, no key twice, no bomb of aliases."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from typing import cast

import yaml
from pydantic import JsonValue

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject

_LARGEST = 1 << 20
_MOST = 100_000


class _Loader(yaml.SafeLoader):
    """Dates stay text, a key that is no text or is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set[str]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                hint = "a placeholder needs quotes: '{{ name }}'"
                raise yaml.constructor.ConstructorError(None, None, f"a key is no text ({hint})", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(text: str, where: str) -> list[JsonObject]:
    """The objects of a YAML or JSON text, empty documents aside.

    Raises:
        BadInput: it is none; one line says where.
    """
    if len(text) > _LARGEST:
        raise BadInput(f"{where} has {len(text)} characters", do=f"Stay under {_LARGEST}")
    try:
        nodes = cast("Iterator[yaml.Node | None]", yaml.compose_all(text, _Loader))  # pyright: ignore[reportUnknownMemberType] # untyped
        if sum(_size(node, {}) for node in nodes if node) > _MOST:
            raise BadInput(f"{where} unfolds to more than {_MOST} values", do="Use fewer aliases")
        documents = cast("list[JsonValue]", list(yaml.load_all(text, _Loader)))
        json.dumps(documents, allow_nan=False)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{where} is no YAML: {' '.join(str(error).split())[:300]}", do="Mend it there") from error
    documents = [document for document in documents if document is not None]
    for document in documents:
        if not isinstance(document, dict):
            raise BadInput(f"{where} holds {json.dumps(document)[:80]}, which is no object", do="Write apiVersion: …")
    return cast("list[JsonObject]", documents)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node unfolds to."""
    if id(node) not in known:
        known[id(node)] = 0  # a node that holds itself
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value) if isinstance(node, yaml.MappingNode) else []
        items = cast("list[yaml.Node]", node.value) if isinstance(node, yaml.SequenceNode) else []
        children = [*items, *(child for pair in pairs for child in pair)]
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
