"""What a user may say of a job that no run was watched for, and what is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.capture import capture_code, capture_git
from launch_jobs.capture.choices import Choices, check_schema, read_schema
from launch_jobs.capture.source import checkout
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.store.jobs import JobStore

SCHEMA: JsonObject = {"type": "object", "properties": {"lr": {"type": "number", "default": 0.1, "minimum": 0}}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a program in a folder that has a Dockerfile of its own, and one file beside."""
    folder = tmp_path / "project"
    (folder / "app" / "docker").mkdir(parents=True)
    (folder / "app" / "fit.py").touch()
    (folder / "app" / "docker" / "Dockerfile").write_text("FROM scratch\nCOPY fit.py /\n")
    (folder / "secret.txt").touch()
    for command in (["init"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-m", "one"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def test_choices_are_in_the_job(store: JobStore, project: Path) -> None:
    """Python, base image and schema are the job's, and so part of its digest; all else is as without them."""
    plain = capture_code(project / "app", [sys.executable, "fit.py"], store=store).job
    chosen = capture_code(
        *(project / "app", [sys.executable, "fit.py"]), store=store, python="3.12", base_image="tools:1", schema=SCHEMA
    ).job
    assert (chosen.environment.python, chosen.base_image) == ("3.12", "tools:1")
    assert chosen.inputs.parameters_schema == SCHEMA
    assert (chosen.source, chosen.entrypoint) == (plain.source, plain.entrypoint)
    assert chosen.environment.distributions == plain.environment.distributions
    assert chosen.digest != plain.digest


def test_a_dockerfile_is_named_within_the_source(store: JobStore, project: Path) -> None:
    """However it was typed, its path is the one in the source tree."""
    version = capture_git(project, ["sh"], store=store, name="x", dockerfile="./app/docker/../docker/Dockerfile")
    assert version.job.dockerfile == "app/docker/Dockerfile"


@pytest.mark.parametrize("ref", [None, "HEAD"])
def test_the_build_context_is_the_whole_source(store: JobStore, project: Path, tmp_path: Path, ref: str | None) -> None:
    """Of a repository only the chosen folder is carried; Dockerfile and command are relative to it."""
    version = capture_git(
        project, [sys.executable, "fit.py"], store=store, ref=ref, build_context="app", dockerfile="docker/Dockerfile"
    )
    checkout(version, store, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"fit.py", "docker"}
    assert (version.job.dockerfile, version.job.entrypoint.directory) == ("docker/Dockerfile", ".")


BAD: list[tuple[Choices, str]] = [
    ({"python": "2.7"}, "2.7"),
    ({"python": "3.12; rm"}, "3.12; rm"),
    ({"base_image": "a b"}, "no image reference"),
    ({"base_image": ""}, "no image reference"),
    ({"base_image": "tools:1", "dockerfile": "app/docker/Dockerfile"}, "exclude each other"),
    ({"dockerfile": "nowhere/Dockerfile"}, "nowhere/Dockerfile"),
    ({"dockerfile": "../project/app/docker/Dockerfile"}, "not in the source"),
    ({"dockerfile": "app"}, "not in the source"),
    ({"build_context": "nowhere"}, "nowhere"),
    ({"build_context": ".."}, "no folder in"),
    ({"build_context": "app/fit.py"}, "no folder in"),
    ({"schema": {"type": "array"}}, "not that of an object"),
]


@pytest.mark.parametrize(("choices", "words"), BAD, ids=str)
def test_a_wrong_choice_makes_no_job(store: JobStore, project: Path, choices: Choices, words: str) -> None:
    """It is named in one line, and the store has no job."""
    with pytest.raises(BadInput, match=words) as refusal:
        capture_git(project, ["sh"], store=store, name="x", **choices)
    assert "\n" not in str(refusal.value)
    assert store.names() == []


SCHEMAS: list[tuple[object, str]] = [
    ([], "not that of an object"),
    ({}, "not that of an object"),
    ({"type": ["object"]}, "not that of an object"),
    ({"type": "object", "properties": []}, "properties"),
    ({"type": "object", "properties": {"lr": True}}, "'lr' has no schema"),
    ({"type": "object", "properties": {"lr": {"type": "float"}}}, "properties/lr/type"),
    ({"type": "object", "properties": {"lr": {"pattern": "("}}}, "properties/lr/pattern"),
    ({"type": "object", "properties": {"lr": {"type": "number", "default": "x"}}}, "default of 'lr'"),
    ({"type": "object", "properties": {"lr": {"default": float("nan")}}}, "no JSON form"),
    ({"type": "object", "properties": {"lr": {"items": {"$ref": "http://169.254.169.254/"}}}}, r"a \$ref"),
]


@pytest.mark.parametrize(("schema", "words"), SCHEMAS, ids=str)
def test_what_is_no_schema_of_parameters(schema: object, words: str) -> None:
    """The place and the fault are named; no other document is ever fetched."""
    with pytest.raises(BadInput, match=words) as refusal:
        check_schema(schema)
    assert "\n" not in str(refusal.value)


FILES = [
    (b"", "no readable JSON"),
    (b"{", "no readable JSON"),
    (b"\xff", "no readable JSON"),
    (b"[" * 100_000, "no readable JSON"),
    (b'{"type": "object", "type": "object"}', "twice"),
    (b" " * (1 << 20) + json.dumps(SCHEMA).encode(), "larger than"),
]


@pytest.mark.parametrize(("content", "words"), FILES, ids=range(len(FILES)))
def test_a_schema_file_that_is_none(tmp_path: Path, content: bytes, words: str) -> None:
    """Broken, repeated, too deep and too long JSON is bad input that names the file."""
    file = tmp_path / "schema.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=f"{file}.*{words}"):
        read_schema(file)


def test_a_schema_file_is_read(tmp_path: Path) -> None:
    """A right one is taken as it is; one that is not there is bad input."""
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    assert read_schema(tmp_path / "schema.json") == SCHEMA
    with pytest.raises(BadInput, match=r"nothing\.json"):
        read_schema(tmp_path / "nothing.json")
