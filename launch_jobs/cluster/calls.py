"""What can be asked of an API server: plain JSON in and out, lists that are followed, logs, commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Literal, cast

from launch_jobs.cluster.access import ClusterAccess
from launch_jobs.cluster.connection import Connection, Query
from launch_jobs.cluster.failures import Overloaded, broken, error_of
from launch_jobs.cluster.frames import ERROR, STDERR, STDOUT, check_end, frames, lines, send
from launch_jobs.errors import NotFound, Unavailable
from launch_jobs.job import JsonObject

_ANSWER_S = 60.0
_LATE_S = 5.0
_PATIENCE_S = 20.0


class Cluster:
    """A connection to an API server, of one event loop.

    Every call raises `Unavailable` when the server does not answer or says that it is overloaded, `Forbidden` when it
    refuses the account.
    """

    def __init__(self, access: ClusterAccess | None = None) -> None:
        self._connection = Connection(access or ClusterAccess())

    async def close(self) -> None:
        """Let the connections go."""
        await self._connection.close()

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

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """PUT an object; the server's own version of it.

        Raises:
            ClusterConflict: it has changed since the version that the body names.
            NotFound: it is not there.
        """
        return await self._call("PUT", path, body=body)

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
            self._connection.answered("GET", path, given, seconds_left=seconds + _LATE_S) as answer,
            aclosing(lines(answer.content)) as told,
        ):
            async for line in told:
                event = cast("JsonObject", json.loads(line))
                if event.get("type") == "ERROR":
                    raise error_of(cast("JsonObject", event["object"]), 0, path)
                yield event

    async def stream(self, path: str, query: Query) -> AsyncGenerator[bytes]:
        """GET bytes as they come, as of a log that is followed."""
        async with self._connection.answered("GET", path, query, seconds_left=None) as answer, broken():
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
        async with self._connection.socket(f"{pod}/exec", query) as socket, aclosing(frames(socket)) as said:
            sending = asyncio.ensure_future(send(socket, stdin)) if stdin is not None else None
            try:
                async for channel, data in said:
                    if channel == STDOUT:
                        yield data
                    elif channel == STDERR:
                        errors += data[:4096]
                    elif channel == ERROR:
                        check_end(data, bytes(errors), command)
                        return
            finally:
                if sending is not None:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        raise Unavailable(f"the connection to a command in {pod} broke off", do="Try again")

    async def _call(
        self, method: str, path: str, query: Query | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        """One answer. A server that says when to come again is asked again then, for a while."""
        patience_s = _PATIENCE_S
        while True:
            try:
                asked = self._connection.answered(method, path, query or {}, body=body, seconds_left=_ANSWER_S)
                async with asked as answer, broken():
                    return cast("JsonObject", json.loads(await answer.read()))
            except Overloaded as error:
                patience_s -= error.after_s
                if patience_s < 0:
                    raise
                await asyncio.sleep(error.after_s)


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
