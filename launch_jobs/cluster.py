"""The door to a Kubernetes API server: plain JSON in and out, its errors as ours. Nobody else imports its SDK."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

import aiohttp

from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration

Query = Mapping[str, str | Sequence[str]]

_CONNECT_S, _ANSWER_S = 10.0, 60.0
_GOODBYE_S = 0.1
_CHUNK = 1 << 16
_LARGEST_EVENT = 1 << 23
_STDIN, _STDOUT, _STDERR, _ERROR = range(4)
_RULE = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)"| (?P<scope>at the cluster scope))?'
)


class ClusterConflict(LaunchError):
    """409: the name is taken, or the object has changed meanwhile."""


class WatchExpired(LaunchError):
    """410: the server has forgotten the version to watch from; list again."""


class Forbidden(Refused):
    """403: the agent's account may not; the message names the rule that its Role lacks."""


class CommandFailed(LaunchError):
    """A command in a container could not be run, or ended by another exit code than 0."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Which cluster, and as whom.

    Attributes:
        config: the content of a kubeconfig; None: the pod's own service account if this is one, else KUBECONFIG or
            the user's file.
        context: of the kubeconfig; None: its current one.
    """

    config: JsonObject | None = field(default=None, repr=False)
    context: str | None = None


class _Content(Protocol):
    """aiohttp's body of an answer."""

    def iter_any(self) -> AsyncIterator[bytes]: ...


class _Answer(Protocol):
    """aiohttp's answer, as far as we read it."""

    status: int
    reason: str
    content: _Content
    headers: Mapping[str, str]

    async def read(self) -> bytes: ...
    def close(self) -> None: ...


class _Message(Protocol):
    data: bytes | str


class _Socket(Protocol):
    """aiohttp's web socket."""

    def __aiter__(self) -> AsyncIterator[_Message]: ...
    async def send_bytes(self, data: bytes) -> None: ...


class _Caller(Protocol):
    """`ApiClient.call_api` and `WsApiClient.call_api`, which the SDK leaves untyped."""

    async def call_api(  # noqa: PLR0913 # the SDK's own
        self,
        resource_path: str,
        method: str,
        *,
        query_params: list[tuple[str, str]],
        header_params: dict[str, str],
        body: object,
        auth_settings: list[str],
        _preload_content: bool,
        _request_timeout: tuple[float, float | None] | float | None,
    ) -> object: ...
    async def close(self) -> None: ...


class Cluster:
    """A connection to an API server, of one event loop.

    Every call raises `Unavailable` when the server does not answer or says that it is overloaded, `Forbidden` when it
    refuses the account.
    """

    def __init__(self, access: ClusterAccess | None = None) -> None:
        self._access = access or ClusterAccess()
        self._opening = asyncio.Lock()
        self._client: _Caller | None = None
        self._sockets: _Caller | None = None

    async def close(self) -> None:
        """Let the connections go."""
        for client in (self._client, self._sockets):
            if client is not None:
                await client.close()
        if self._client is not None:
            await asyncio.sleep(_GOODBYE_S)  # a TLS connection is closed some steps of the loop later
        self._client = self._sockets = None

    async def read(self, path: str, query: Query | None = None) -> JsonObject:
        """GET an object or a list.

        Raises:
            NotFound: it is not there.
        """
        return await self._call("GET", path, query)

    async def find(self, path: str) -> JsonObject | None:
        """GET an object; None if it is not there."""
        try:
            return await self.read(path)
        except NotFound:
            return None

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """POST an object; the server's own version of it.

        Raises:
            ClusterConflict: its name is taken.
            NotFound: its namespace or its kind is not there.
            BadInput: the server finds it invalid; says why.
            Refused: an admission policy refuses it.
        """
        return await self._call("POST", path, body=body)

    async def delete(
        self, path: str, *, grace_s: float | None = None, propagation: Literal["Foreground", "Background"] | None = None
    ) -> bool:
        """DELETE an object; whether it was there."""
        body: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = max(0, round(grace_s))
        if propagation is not None:
            body["propagationPolicy"] = propagation
        try:
            await self._call("DELETE", path, body=body)
        except NotFound:
            return False
        return True

    async def watch(self, path: str, query: Query, *, seconds: int) -> AsyncGenerator[JsonObject]:
        """Follow a list for some seconds: events as the server tells them.

        Raises:
            WatchExpired: the version to begin with is forgotten, now or at the end of this.
        """
        given = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        async with (
            self._answered("GET", path, given, seconds_left=seconds + _CONNECT_S) as answer,
            aclosing(_lines(answer.content)) as lines,
        ):
            async for line in lines:
                event = cast("JsonObject", json.loads(line))
                if event.get("type") == "ERROR":
                    raise _error(cast("JsonObject", event["object"]), 0, path)
                yield event

    async def stream(self, path: str, query: Query) -> AsyncGenerator[bytes]:
        """GET bytes as they come, as of a log that is followed."""
        async with self._answered("GET", path, query, seconds_left=None) as answer, _broken():
            async for chunk in answer.content.iter_any():
                yield chunk

    async def run(
        self, pod: str, container: str, command: Sequence[str], *, stdin: AsyncIterator[bytes] | None = None
    ) -> AsyncGenerator[bytes]:
        """Run a command in a container (`pod` is its path), and give what it prints on stdout.

        Raises:
            CommandFailed: it could not be run, or failed; with what it printed on stderr.
        """
        query = {"container": container, "command": command, "stdout": "true", "stderr": "true"}
        if stdin is not None:
            query["stdin"] = "true"
        errors = bytearray()
        async with self._socket(f"{pod}/exec", query) as socket, aclosing(_frames(socket)) as frames:
            sending = asyncio.ensure_future(_send(socket, stdin)) if stdin is not None else None
            try:
                async for channel, data in frames:
                    if channel == _STDOUT:
                        yield data
                    elif channel == _STDERR:
                        errors += data[:4096]
                    elif channel == _ERROR:
                        _check_end(data, bytes(errors), command)
                        return
            finally:
                if sending is not None:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        raise Unavailable(f"the connection to a command in {pod} broke off", do="Try again")

    async def _call(
        self, method: str, path: str, query: Query | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        async with self._answered(method, path, query or {}, body=body, seconds_left=_ANSWER_S) as answer, _broken():
            return cast("JsonObject", json.loads(await answer.read()))

    @asynccontextmanager
    async def _answered(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        body: JsonObject | None = None,
        seconds_left: float | None,
    ) -> AsyncGenerator[_Answer]:
        """An answer that is no error; its body is still to be read."""
        client = await self._connected()
        async with _broken():
            answer = cast(
                "_Answer",
                await client.call_api(
                    path,
                    method,
                    query_params=_pairs(query),
                    header_params={"Accept": "application/json", "Content-Type": "application/json"},
                    body=body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=(_CONNECT_S, None) if seconds_left is None else seconds_left,
                ),
            )
        try:
            if answer.status >= 400:
                async with _broken():
                    raise _error(_status(await answer.read(), answer.reason), answer.status, path)
            yield answer
        finally:
            answer.close()  # of one that was read to its end the connection is kept

    @asynccontextmanager
    async def _socket(self, path: str, query: Query) -> AsyncGenerator[_Socket]:
        await self._connected()
        assert self._sockets is not None  # noqa: S101 # made with the client
        opening = await self._sockets.call_api(
            path,
            "GET",
            query_params=_pairs(query),
            header_params={"Accept": "*/*"},
            body=None,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=None,
        )
        try:
            async with cast("AbstractAsyncContextManager[_Socket]", opening) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            told: JsonObject = {"message": f"{error.message} (status {error.status})"}
            raise _error(told, error.status, path) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _silent(error) from error

    async def _connected(self) -> _Caller:
        async with self._opening:
            if self._client is None:
                from kubernetes_asyncio.client import ApiClient
                from kubernetes_asyncio.stream import WsApiClient

                configuration = await _configuration(self._access)
                self._client = _caller(ApiClient(configuration))
                self._sockets = _caller(WsApiClient(configuration, heartbeat=30))
            return self._client


async def sign_of_life(access: ClusterAccess | None = None) -> str:
    """Version and identity of a cluster, for people.

    Raises:
        Unavailable: there is none, or it does not answer.
    """
    cluster = Cluster(access)
    try:
        version = await cluster.read("/version")
    finally:
        await cluster.close()
    return f"Kubernetes {version.get('gitVersion')}"


def _caller(client: ApiClient) -> _Caller:
    return cast("_Caller", client)


async def _configuration(access: ClusterAccess) -> Configuration:
    """Address and credentials.

    Raises:
        Unavailable: there are none, or they cannot be read.
    """
    from kubernetes_asyncio import config
    from kubernetes_asyncio.client import Configuration

    made = Configuration()
    try:
        if access.config is not None:
            await config.load_kube_config_from_dict(access.config, access.context, made)  # pyright: ignore[reportUnknownMemberType] # untyped
        elif access.context is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(made)  # pyright: ignore[reportUnknownMemberType] # untyped
        else:
            _check_is_there()
            await config.load_kube_config(context=access.context, client_configuration=made)  # pyright: ignore[reportUnknownMemberType] # untyped
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise Unavailable(
            f"no Kubernetes cluster is configured: {str(error)[:200]}",
            do="Set KUBECONFIG, or LAUNCH_JOBS_KUBERNETES_CLUSTER to a Kubernetes credentials block",
        ) from error
    # Every log that is followed has a connection of its own.
    made.connection_pool_maxsize = 0
    return made


def _check_is_there() -> None:
    """The SDK would print a line of its own.

    Raises:
        FileNotFoundError: this machine has no kubeconfig.
    """
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(one).expanduser().is_file() for one in named.split(os.pathsep)):
        raise FileNotFoundError(f"there is no {named}")


@asynccontextmanager
async def _broken() -> AsyncGenerator[None]:
    """What the network does, as `Unavailable`."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _silent(error) from error


def _silent(error: Exception) -> Unavailable:
    return Unavailable(
        f"the Kubernetes API server does not answer: {str(error)[:200] or type(error).__name__}", do="Try again"
    )


def _pairs(query: Query) -> list[tuple[str, str]]:
    return [
        (name, one) for name, value in query.items() for one in ((value,) if isinstance(value, str) else tuple(value))
    ]


async def _lines(content: _Content) -> AsyncGenerator[bytes]:
    rest = b""
    async with _broken():
        async for chunk in content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LARGEST_EVENT:
                raise Unavailable("the API server sends an event without an end")
            for line in whole:
                yield line


def _status(body: bytes, reason: str) -> JsonObject:
    try:
        told: object = json.loads(body)
    except ValueError:
        told = None
    return (
        cast("JsonObject", told)
        if isinstance(told, dict)
        else {"message": body[:300].decode(errors="replace") or reason}
    )


def _error(told: JsonObject, status: int, path: str) -> LaunchError:
    """Our error for a `Status` that the server returned. Pure."""
    status = status or cast("int", told.get("code") or 500)
    message = str(told.get("message") or told.get("reason") or "no reason given").strip()[:600]
    if status == 401:
        return Unavailable(f"Kubernetes does not know this account: {message}", do="Renew the kubeconfig or token")
    if status == 403:
        return forbidden(message)
    kinds: dict[int, type[LaunchError]] = {404: NotFound, 409: ClusterConflict, 410: WatchExpired}
    if status in kinds:
        return kinds[status](f"Kubernetes: {message}")
    if status in {400, 405, 406, 413, 415, 422}:
        return (
            Refused(f"Kubernetes: {message}") if "admission webhook" in message else BadInput(f"Kubernetes: {message}")
        )
    return Unavailable(f"Kubernetes ({status}) at {path}: {message}", do="Try again")


def forbidden(message: str) -> LaunchError:
    """The error of a 403: with the rule that is missing, if one is. Pure."""
    found = _RULE.search(message)
    if not found:
        return Refused(f"Kubernetes refuses: {message}")
    where = f"the namespace {found['namespace']!r}" if found["namespace"] else "the cluster"
    rule = f'apiGroups: ["{found["group"]}"], resources: ["{found["resource"]}"], verbs: ["{found["verb"]}"]'
    return Forbidden(f"Kubernetes refuses this agent's account: {message}", do=f"Give it this rule in {where}: {rule}")


async def _send(socket: _Socket, stdin: AsyncIterator[bytes]) -> None:
    async for data in stdin:
        for start in range(0, len(data), _CHUNK):
            await socket.send_bytes(bytes([_STDIN]) + data[start : start + _CHUNK])


async def _frames(socket: _Socket) -> AsyncGenerator[tuple[int, bytes]]:
    async for message in socket:
        data = message.data
        frame = data.encode() if isinstance(data, str) else data
        if len(frame) > 1:
            yield frame[0], frame[1:]


def _check_end(status: bytes, errors: bytes, command: Sequence[str]) -> None:
    told = cast("JsonObject", json.loads(status))
    if told.get("status") == "Success":
        return
    words = errors.decode(errors="replace").strip() or str(told.get("message"))
    raise CommandFailed(f"{command[0]} in the container failed: {words[-500:]}")
