"""The door to the Docker Engine: the only module that imports the docker SDK. Builder and docker target share it."""

from __future__ import annotations

import os
import socket
from base64 import b64decode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, cast
from urllib.parse import quote

import docker
import docker.errors
import docker.utils
import requests
import urllib3.exceptions
from docker.context import ContextAPI
from pydantic import BaseModel, Field

from launch_jobs.errors import BadInput, LaunchError, NotFound, Unavailable
from launch_jobs.job import JsonObject

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
_STAT_S = 60
NOT_ANSWERING = "Start it, or name another with DOCKER_HOST"


class EngineConflict(LaunchError):
    """The engine says 409: the name is taken, or the object is in another state than the call needs."""


class EngineRefused(BadInput):
    """The engine answered and said no (any 4xx but 404 and 409, or a 500); the message quotes it."""


@dataclass(frozen=True, slots=True)
class Login:
    """A registry account, as prefect-docker's `DockerRegistryCredentials` holds it."""

    username: str
    password: str
    registry: str

    @property
    def auth_config(self) -> dict[str, str]:
        """As the calls that reach a registry take it."""
        return {"username": self.username, "password": self.password, "serveraddress": self.registry}

    def __repr__(self) -> str:
        """Never shows the password."""
        return f"Login({self.username!r}, registry={self.registry!r})"


class Engine(Protocol):
    """The calls of the docker SDK's low-level client that we use, typed. All block: call them in a thread.

    Documents (`config`, and what `inspect_*` returns) are those of the Docker Engine API; read them with a pydantic
    model. Wrap every call, and every step through a stream, in `errors()`.
    """

    @property
    def base_url(self) -> str:
        """Where the engine is, as the SDK says it."""
        ...

    @property
    def api_version(self) -> str:
        """The version of the Engine API that is spoken."""
        ...

    def close(self) -> None: ...  # noqa: D102
    def login(self, username: str, password: str, *, registry: str, reauth: bool) -> JsonObject: ...  # noqa: D102
    def ping(self) -> bool: ...  # noqa: D102
    def info(self) -> JsonObject: ...  # noqa: D102
    def version(self) -> JsonObject: ...  # noqa: D102
    def events(  # noqa: D102
        self,
        since: float | None = None,
        until: float | None = None,
        *,
        filters: Mapping[str, object] | None = None,
        decode: Literal[True],
    ) -> Iterator[JsonObject]: ...

    def inspect_image(self, image: str) -> JsonObject: ...  # noqa: D102
    def images(self, name: str | None = None, *, filters: Mapping[str, object] | None = None) -> list[JsonObject]: ...  # noqa: D102
    def tag(self, image: str, repository: str, tag: str | None = None) -> bool: ...  # noqa: D102
    def remove_image(self, image: str, force: bool = False, noprune: bool = False) -> None: ...  # noqa: D102
    def pull(  # noqa: D102
        self,
        repository: str,
        tag: str | None,
        stream: Literal[True],
        auth_config: Mapping[str, str] | None = None,
        *,
        decode: Literal[True],
    ) -> Iterator[JsonObject]: ...
    def push(  # noqa: D102
        self,
        repository: str,
        tag: str,
        *,
        stream: Literal[True],
        auth_config: Mapping[str, str] | None = None,
        decode: Literal[True],
    ) -> Iterator[JsonObject]: ...
    def inspect_distribution(self, image: str, auth_config: Mapping[str, str] | None = None) -> JsonObject: ...  # noqa: D102
    def build(self, **arguments: object) -> Iterator[JsonObject]: ...  # noqa: D102

    def create_container_from_config(  # noqa: D102
        self, config: JsonObject, name: str | None = None, platform: str | None = None
    ) -> JsonObject: ...
    def containers(self, *, all: bool = False, filters: Mapping[str, object] | None = None) -> list[JsonObject]: ...  # noqa: D102
    def inspect_container(self, container: str) -> JsonObject: ...  # noqa: D102
    def start(self, container: str) -> None: ...  # noqa: D102
    def stop(self, container: str, timeout: int | None = None) -> None: ...  # noqa: D102
    def kill(self, container: str, signal: str | None = None) -> None: ...  # noqa: D102
    def stats(self, container: str, *, stream: Literal[False]) -> JsonObject: ...  # noqa: D102
    def wait(self, container: str, timeout: float | None = None, condition: str | None = None) -> JsonObject: ...  # noqa: D102
    def remove_container(self, container: str, v: bool = False, *, force: bool = False) -> None: ...  # noqa: D102
    def logs(  # noqa: D102
        self,
        container: str,
        *,
        stream: Literal[True],
        timestamps: bool = False,
        since: float | None = None,
        follow: bool | None = None,
    ) -> LogStream: ...
    def get_archive(self, container: str, path: str) -> tuple[Iterator[bytes], JsonObject]: ...  # noqa: D102
    def put_archive(self, container: str, path: str, data: bytes | Iterable[bytes]) -> bool: ...  # noqa: D102
    def head(self, url: str, *, params: Mapping[str, str], timeout: float) -> requests.Response: ...  # noqa: D102


class LogStream(Protocol):
    """A container's output as it comes; `close` ends a blocked read from another thread."""

    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...  # noqa: D102


def connect(
    base_url: str | None = None, version: str | None = None, *, login: Login | None = None, timeout_s: int = 60
) -> Engine:
    """Connect to an engine and prove that it answers. Close the result when done.

    Args:
        base_url: e.g. `unix:///run/docker.sock`; None: as the docker command finds it (DOCKER_HOST, then its context).
        version: of the Engine API; None agrees on one with the engine.
        login: an account to pull with, besides those in the docker configuration.
        timeout_s: of one call; streams have none.

    Raises:
        Unavailable: nobody answers there.
        BadInput: the address is malformed, or the registry refuses the login.
    """
    address = {"base_url": base_url} if base_url else _address_from_environment()
    where = str(address.get("base_url", DEFAULT_ADDRESS))
    try:
        _knock(where)
        with errors():
            engine = cast("Callable[..., Engine]", docker.APIClient)(version=version, timeout=timeout_s, **address)
            if login:
                engine.login(login.username, login.password, registry=login.registry, reauth=True)
    except (Unavailable, OSError, docker.errors.DockerException) as error:
        raise Unavailable(f"Docker Engine at {where} does not answer: {_short(error)}", do=NOT_ANSWERING) from error
    return engine


def _address_from_environment() -> JsonObject:
    """As `docker.from_env` does it: DOCKER_HOST and its TLS variables, else the docker command's context."""
    params = cast("JsonObject", docker.utils.kwargs_from_env())
    if "base_url" in params:
        return params
    from_context = cast("JsonObject", ContextAPI.kwargs_from_context(environment=os.environ))  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] # newer than pyright's stubs
    return {**params, **from_context}


def _knock(address: str) -> None:
    """Raise OSError if nobody listens on a Unix socket: the SDK says it unclearly and leaks its own socket."""
    scheme, _, path = address.partition("://")
    if scheme in {"unix", "http+unix"}:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect("/" + path.lstrip("/"))


@contextmanager
def opened(base_url: str | None = None, *, login: Login | None = None) -> Generator[Engine]:
    """`connect`, closed at the end, with the errors of everything inside translated."""
    engine = connect(base_url, login=login)
    try:
        with errors():
            yield engine
    finally:
        engine.close()


def context_paths(root: Path, patterns: Iterable[str]) -> list[str]:
    """Files and links under a folder that a `.dockerignore` of these lines leaves in a build context, sorted."""
    lines = [line.strip() for line in patterns]
    chosen = [line for line in lines if line and not line.startswith("#")]
    return sorted(docker.utils.exclude_paths(str(root), chosen))


def engine_id(engine: Engine) -> str:
    """The engine's own id: stable over restarts, different on every host."""
    with errors():
        info = engine.info()
    return str(info.get("ID") or info["Name"])


class PathStat(BaseModel):
    """What is at a path in a container, which need not run."""

    mode: int = Field(description="As Go has it: kind and special bits at the top, permissions below.")
    modified: datetime = Field(alias="mtime")


def stat_path(engine: Engine, container: str, path: str) -> PathStat:
    """Look at a path in a container: a twentieth of what fetching it costs. The SDK has no call for it.

    Raises:
        NotFound: no such container or path.
    """
    url = f"{engine.base_url}/v{engine.api_version}/containers/{quote(container, safe='')}/archive"
    with errors():
        answer = engine.head(url, params={"path": path}, timeout=_STAT_S)
    if answer.status_code == 404:
        raise NotFound(f"Docker Engine: no {path} in {container}")
    told = answer.headers.get("X-Docker-Container-Path-Stat")
    if told is None:
        raise Unavailable(f"Docker Engine does not say what {path} is ({answer.status_code})", do="Try again")
    return PathStat.model_validate_json(b64decode(told))


def docker_environment(base_url: str | None) -> dict[str, str]:
    """What to add to the docker command's environment so that it talks to the engine of `connect(base_url)`."""
    return {"DOCKER_HOST": base_url} if base_url else {}


@contextmanager
def errors() -> Generator[None]:
    """Translate what the SDK raises.

    Raises:
        NotFound: no such container, image or path.
        EngineConflict: 409.
        EngineRefused: any other answer that says no.
        Unavailable: no answer, or 502 to 504.
    """
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFound(f"Docker Engine: {_short(error)}") from error
    except docker.errors.APIError as error:
        raise _api_error(error) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Unavailable(f"Docker Engine does not answer: {_short(error)}", do=NOT_ANSWERING) from error


def _api_error(error: docker.errors.APIError) -> LaunchError:
    status = error.status_code
    if status == 409:
        return EngineConflict(f"Docker Engine: {_short(error)}")
    if status in {502, 503, 504}:
        return Unavailable(f"Docker Engine is not ready: {_short(error)}", do="Try again")
    return EngineRefused(f"Docker Engine refuses: {_short(error)}")


def _short(error: BaseException) -> str:
    """The engine's own words, else the operating system's, else the exception's."""
    explanation = cast("str | None", getattr(error, "explanation", None))
    cause: BaseException | None = error
    while cause and not explanation:
        explanation = cause.strerror if isinstance(cause, OSError) else None
        cause = cause.__cause__ or cause.__context__
    return " ".join((explanation or str(error)).split()).rstrip(".")
