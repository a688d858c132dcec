"""Dockerfile text: paths, own Dockerfiles, and what the classic builder gets."""

from __future__ import annotations

import pytest

from launch_jobs.build.dockerfile import base_of, check_own, without_buildkit, workdir
from launch_jobs.errors import BadInput
from launch_jobs.job import Entrypoint


@pytest.mark.parametrize("directory", ["..", "/etc", "a/../../b", "a\nRUN evil", "a\x00b", "a ", "../workspaces"])
def test_a_working_directory_outside_the_tree_is_refused(directory: str) -> None:
    """It must lie under the source root and be printable."""
    with pytest.raises(BadInput, match="not inside the source tree"):
        workdir(Entrypoint(argv=("x",), directory=directory))


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM a:1\n", "a:1"),
        ("from --platform=linux/amd64 a:1 as x\nFROM x\n", "a:1"),
        ("ARG V=3\nFROM a:$V\nARG V=4\n", "a:3"),
        ('ARG B="a:1"\nFROM ${B}\n', "a:1"),
        ("FROM ${B:-a:2}\n", "a:2"),
        ("FROM a:1 AS One\nFROM b AS two\nFROM one\n", "a:1"),
        ("FROM a:1\nRUN query 'SELECT *' \\\n  FROM b\n", "a:1"),
        ("# FROM b\nFROM a:1 \r\n", "a:1"),
        ("FROM scratch\n", "scratch"),
        ("RUN x\n", None),
    ],
)
def test_the_base_of_the_last_stage_is_found(text: str, base: str | None) -> None:
    """Through stages, ARG defaults, platforms and continued lines."""
    assert base_of(text) == base


def test_a_base_named_by_a_variable_without_default_is_refused() -> None:
    """We pass no build arguments, so nobody could know it."""
    with pytest.raises(BadInput, match="BASE"):
        base_of("ARG BASE\nFROM $BASE\n")


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=evil/frontend\nFROM a\n",
        "\ufeff#  SYNTAX = evil/frontend:1\nFROM a\n",
        "// syntax=evil/frontend\nFROM a\n",
        "#!/usr/bin/env x\n# syntax=docker.io/evil\nFROM a\n",
        "# a comment\n\n# syntax=docker/dockerfile-upstream@sha256:" + "a" * 64 + "\nFROM a\n",
        "# escape=`\nFROM a\n",
        "FROM a\nRUN x \\\n\n",
    ],
)
def test_a_dockerfile_that_could_be_read_otherwise_is_refused(text: str) -> None:
    """A foreign frontend, another escape character, an unfinished last line."""
    with pytest.raises(BadInput):
        check_own(text)


@pytest.mark.parametrize("line", ["docker/dockerfile:1", "docker/dockerfile", "docker.io/docker/dockerfile:1.7-labs"])
def test_dockers_own_frontend_is_allowed(line: str) -> None:
    """Many Dockerfiles name it."""
    assert check_own(f"# syntax={line}\nFROM a\n")


def test_without_buildkit_there_are_no_cache_mounts() -> None:
    """Everything else stays as it was."""
    text = 'FROM a\nRUN --mount=type=cache,target=/x --mount=type=cache,target=/y ["sh"]\nRUN echo --mount=type=cache\n'
    assert without_buildkit(text) == 'FROM a\nRUN ["sh"]\nRUN echo --mount=type=cache\n'


@pytest.mark.parametrize("option", ["--mount=type=secret,id=x", "--mount=type=bind,target=/x", "--network=none"])
def test_what_only_buildkit_can_do_is_refused_without_it(option: str) -> None:
    """A secret never falls back to something else."""
    with pytest.raises(BadInput, match="BuildKit"):
        without_buildkit(f"FROM a\nRUN --mount=type=cache,target=/x {option} x\n")
