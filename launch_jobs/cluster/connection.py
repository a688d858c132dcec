"""One connection to an API server: requests and web sockets by the SDK, which signs them; errors as ours."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Protocol, cast

import aiohttp

from launch_jobs.cluster.access import ClusterAccess, configuration_of
from launch_jobs.cluster.failures import broken, error_of, silent, status_of
from launch_jobs.cluster.frames import Content, Socket
from launch_jobs.cluster.sdk import sdk
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

Query = Mapping[str, str | Sequence[str]]

_CONNECT_S = 10.0
_GOODBYE_S = 0.1
_HEARTBEAT_S = 30
_TLS_BUFFER = 1 << 15
"""Bytes. asyncio's own 256 KiB for each connection are 50 MB where 200 logs are followed."""


class Answer(Protocol):
    """aiohttp's answer, as far as we read it."""

    status: int
    reason: str
    content: Content
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The whole body."""
        ...

    def close(self) -> None:
        """Let it go; one that was not read to its end is cut off."""
        ...


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


class Connection:
    """A connection to an API server, of one event loop; made at the first call."""

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._opening = asyncio.Lock()
        self._client: _Caller | None = None
        self._sockets: _Caller | None = None

    async def close(self) -> None:
        """Let it go."""
        for client in (self._client, self._sockets):
            if client is not None:
                await client.close()
        if self._client is not None:
            await asyncio.sleep(_GOODBYE_S)  # a TLS connection is closed some steps of the loop later
        self._client = self._sockets = None

    @asynccontextmanager
    async def answered(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        body: JsonObject | None = None,
        seconds_left: float | None,
    ) -> AsyncGenerator[Answer]:
        """An answer that is no error; its body is still to be read."""
        client, _ = await self._opened()
        async with broken():
            answer = cast(
                "Answer",
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
                    told = status_of(await answer.read(), answer.reason)
                raise error_of(told, answer.status, path, after=answer.headers.get("Retry-After", ""))
            yield answer
        finally:
            answer.close()  # of one that was read to its end the connection is kept

    @asynccontextmanager
    async def socket(self, path: str, query: Query) -> AsyncGenerator[Socket]:
        """A web socket to a command."""
        _, sockets = await self._opened()
        opening = await sockets.call_api(
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
            async with cast("AbstractAsyncContextManager[Socket]", opening) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            told: JsonObject = {"message": f"{error.message} (status {error.status})"}
            raise error_of(told, error.status, path) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise silent(error) from error

    async def _opened(self) -> tuple[_Caller, _Caller]:
        async with self._opening:
            if self._client is None or self._sockets is None:
                SSLProtocol.max_size = _TLS_BUFFER  # there is no other way to choose it
                configuration = await configuration_of(self._access)
                self._client = _caller(sdk().client(configuration))
                self._sockets = _caller(sdk().sockets(configuration, heartbeat=_HEARTBEAT_S))
            return self._client, self._sockets


def _caller(client: ApiClient) -> _Caller:
    return cast("_Caller", client)


def _pairs(query: Query) -> list[tuple[str, str]]:
    return [
        (name, one) for name, value in query.items() for one in ((value,) if isinstance(value, str) else tuple(value))
    ]
