"""Image references: one grammar."""

from __future__ import annotations

import pytest

from launch_jobs.errors import BadInput
from launch_jobs.names import ImageRef

HEX = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python", ("python", "latest", "")),
        ("docker.io/library/python:3.11-slim", ("docker.io/library/python", "3.11-slim", "")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "latest", "")),
        ("localhost/a", ("localhost/a", "latest", "")),
        ("registry.example.org:443/a/b__c:v1", ("registry.example.org:443/a/b__c", "v1", "")),
        (f"a/b@{HEX}", ("a/b", "", HEX)),
        (f"a/b:1@{HEX}", ("a/b", "1", HEX)),
    ],
)
def test_references_are_taken_apart(text: str, parts: tuple[str, str, str]) -> None:
    """Registry with port, tag and digest each find their place."""
    found = ImageRef.parse(text)
    assert (found.repository, found.tag, found.digest) == parts


@pytest.mark.parametrize(
    "text",
    ["", "a b", "UPPER", "a:b:c", "a@sha256:short", "https://a/b", "a\nFROM evil", "#", "a/", "-a", "a:", "x" * 300],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """One line says so, before any engine is asked."""
    with pytest.raises(BadInput, match="image reference"):
        ImageRef.parse(text)


def test_an_engines_name_has_no_docker_hub() -> None:
    """Engines list `python`, not `docker.io/library/python`."""
    assert ImageRef.parse("docker.io/library/python").familiar == "python"
    assert ImageRef.parse("quay.io/library/python").familiar == "quay.io/library/python"
