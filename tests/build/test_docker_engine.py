"""The door to the Docker Engine."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

import pytest

from launch_jobs.engine import (
    EngineConflict,
    EngineRefused,
    Login,
    connect,
    docker_environment,
    engine_id,
    errors,
    opened,
)
from launch_jobs.errors import NotFound, Unavailable


@pytest.mark.usefixtures("docker_base")
def test_an_engine_has_an_id_of_its_own() -> None:
    """It is the same on every connection."""
    with opened() as one, opened() as other:
        assert engine_id(one) == engine_id(other) != ""


def test_nobody_at_a_socket_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named as an argument or by DOCKER_HOST; one line says where and why."""
    missing = f"unix://{tmp_path}/docker.sock"
    with pytest.raises(Unavailable, match=f"{missing} does not answer: No such file or directory"):
        connect(missing)
    monkeypatch.setenv("DOCKER_HOST", missing)
    with pytest.raises(Unavailable, match=f"{missing} does not answer"):
        connect()


def test_a_socket_that_nobody_serves_is_unavailable(tmp_path: Path) -> None:
    """An engine that died leaves its socket."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(Unavailable, match="Connection refused"):
        connect(f"unix://{path}")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "rubbish://x", "tcp://"])
def test_an_address_without_engine_is_unavailable(address: str) -> None:
    """Whatever the scheme."""
    with pytest.raises(Unavailable, match="does not answer"):
        connect(address)


@pytest.mark.usefixtures("docker_base")
def test_what_is_not_there_is_not_found() -> None:
    """A container as well as an image."""
    with opened() as engine:
        for call in (engine.inspect_image, engine.inspect_container):
            with pytest.raises(NotFound), errors():
                call(f"nothing-{uuid.uuid4().hex}")


def test_a_name_that_is_taken_is_a_conflict(docker_base: str) -> None:
    """Create-or-adopt stands on it."""
    name = f"launch-jobs-test-{uuid.uuid4().hex}"
    with opened() as engine:
        engine.create_container_from_config({"Image": docker_base, "Cmd": ["true"]}, name)
        try:
            with pytest.raises(EngineConflict, match=name), errors():
                engine.create_container_from_config({"Image": docker_base, "Cmd": ["true"]}, name)
        finally:
            engine.remove_container(name, force=True)


def test_what_the_engine_refuses_is_bad_input(docker_base: str) -> None:
    """The message quotes the engine."""
    with opened() as engine, pytest.raises(EngineRefused, match="emory"), errors():
        engine.create_container_from_config({"Image": docker_base, "HostConfig": {"Memory": 1}})


def test_a_login_does_not_show_its_password() -> None:
    """It may be printed."""
    assert "s3cret" not in repr(Login("me", "s3cret", "registry.example.org"))


def test_the_docker_command_is_told_the_same_engine() -> None:
    """Without an address it finds its own."""
    assert docker_environment("tcp://example.org:2376") == {"DOCKER_HOST": "tcp://example.org:2376"}
    assert docker_environment(None) == {}
