"""The door to a Kubernetes API server: plain JSON in and out, its errors as ours. Nobody else imports its SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Literal, Protocol, cast

import aiohttp

from launch_jobs.cluster.access import ClusterAccess, configuration_of
from launch_jobs.cluster.failures import (
    ClusterConflict,
    CommandFailed,
    Forbidden,
    WatchExpired,
    broken,
    error_of,
    forbidden,
    silent,
    status_of,
)
from launch_jobs.errors import NotFound, Unavailable
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

Query = Mapping[str, str | Sequence[str]]

_CONNECT_S, _ANSWER_S = 10.0, 60.0
_GOODBYE_S = 0.1
_CHUNK = 1 << 16
_LARGEST_EVENT = 1 << 23
_STDIN, _STDOUT, _STDERR, _ERROR = range(4)


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
                    raise error_of(cast("JsonObject", event["object"]), 0, path)
                yield event

    async def stream(self, path: str, query: Query) -> AsyncGenerator[bytes]:
        """GET bytes as they come, as of a log that is followed."""
        async with self._answered("GET", path, query, seconds_left=None) as answer, broken():
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
        async with self._answered(method, path, query or {}, body=body, seconds_left=_ANSWER_S) as answer, broken():
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
        async with broken():
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
                async with broken():
                    raise error_of(status_of(await answer.read(), answer.reason), answer.status, path)
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
            raise error_of(told, error.status, path) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise silent(error) from error

    async def _connected(self) -> _Caller:
        async with self._opening:
            if self._client is None:
                from kubernetes_asyncio.client import ApiClient
                from kubernetes_asyncio.stream import WsApiClient

                configuration = await configuration_of(self._access)
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


def _pairs(query: Query) -> list[tuple[str, str]]:
    return [
        (name, one) for name, value in query.items() for one in ((value,) if isinstance(value, str) else tuple(value))
    ]


async def _lines(content: _Content) -> AsyncGenerator[bytes]:
    rest = b""
    async with broken():
        async for chunk in content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LARGEST_EVENT:
                raise Unavailable("the API server sends an event without an end")
            for line in whole:
                yield line


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


__all__ = [
    "Cluster",
    "ClusterAccess",
    "ClusterConflict",
    "CommandFailed",
    "Forbidden",
    "WatchExpired",
    "forbidden",
    "sign_of_life",
]
