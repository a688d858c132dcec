"""What comes over a connection to an API server, cut into its parts: events of a watch, frames of a command."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol, cast

from launch_jobs.cluster.failures import CommandFailed, broken
from launch_jobs.errors import Unavailable
from launch_jobs.job import JsonObject

STDIN, STDOUT, STDERR, ERROR = range(4)
"""Channels of a command."""

_CHUNK = 1 << 16
_LARGEST_EVENT = 1 << 23


class Content(Protocol):
    """aiohttp's body of an answer."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """As it comes."""
        ...


class _Message(Protocol):
    data: bytes | str | BaseException


class Socket(Protocol):
    """aiohttp's web socket."""

    def __aiter__(self) -> AsyncIterator[_Message]: ...
    async def send_bytes(self, data: bytes) -> None:
        """Send one frame."""
        ...


async def lines(content: Content) -> AsyncGenerator[bytes]:
    """The lines of a body, as they come.

    Raises:
        Unavailable: it broke off, or a line has no end.
    """
    rest = b""
    async with broken():
        async for chunk in content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LARGEST_EVENT:
                raise Unavailable("the API server sends an event without an end")
            for line in whole:
                yield line


async def send(socket: Socket, stdin: AsyncIterator[bytes]) -> None:
    """Give a command its input."""
    async for data in stdin:
        for start in range(0, len(data), _CHUNK):
            await socket.send_bytes(bytes([STDIN]) + data[start : start + _CHUNK])


async def frames(socket: Socket) -> AsyncGenerator[tuple[int, bytes]]:
    """What a command says, each with its channel."""
    async for message in socket:
        data = message.data
        if isinstance(data, BaseException):
            return  # the connection broke
        frame = data.encode() if isinstance(data, str) else data
        if len(frame) > 1:
            yield frame[0], frame[1:]


def check_end(status: bytes, errors: bytes, command: Sequence[str]) -> None:
    """Read how a command ended.

    Raises:
        CommandFailed: otherwise than by exit code 0.
    """
    told = cast("JsonObject", json.loads(status))
    if told.get("status") == "Success":
        return
    words = errors.decode(errors="replace").strip() or str(told.get("message"))
    raise CommandFailed(f"{command[0]} in the container failed: {words[-500:]}")
