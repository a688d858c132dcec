"""A proxy that breaks things: between agents or submitters and the Prefect API, or before a Docker Engine's socket.

It makes every connection carry one request (`Connection: close`), so that bytes need only be passed on; a WebSocket, or
what Docker upgrades, is left as it is. Made to lose the answer to a request that was done, the most valuable fault.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["drop", "status", "delay", "refuse", "truncate"]
_HEAD = 1 << 18
_CHUNK = 1 << 16
_DRAIN_S = 30.0


@dataclass
class Rule:
    """What becomes of requests.

    Attributes:
        what: matched against `METHOD path`.
        action: drop: do it and lose the answer; status: answer `status` without doing it; delay: wait first; refuse:
            cut it off without doing it; truncate: do it, and end the answer in its middle.
        times: how often; then it is over.
        seconds: of a delay; and for `Retry-After`.
        body: of an answer that is a status.
    """

    what: str
    action: Action
    times: int = 1
    status: int = 503
    seconds: float = 1.0
    body: str = "{}"

    def takes(self, request: str) -> bool:
        """Whether this request is one of those; then it counts."""
        if self.times <= 0 or not re.search(self.what, request):
            return False
        self.times -= 1
        return True


@dataclass
class FaultProxy:
    """A running proxy.

    Attributes:
        address: `host:port` or the path of a Unix socket that it listens on.
        rules: tried in this order; the first that takes a request counts.
        down: None: up; refuse: connections are reset; silent: they are taken and never answered.
        requests: how many it has passed on or broken, by what became of them.
    """

    address: str
    upstream: str
    rules: list[Rule] = field(default_factory=list[Rule])
    down: Literal["refuse", "silent"] | None = None
    requests: dict[str, int] = field(default_factory=dict[str, int])
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    def go_down(self, how: Literal["refuse", "silent"] = "refuse") -> None:
        """Be away from now on; what is open is cut."""
        self.down = how
        self.cut()

    def come_back(self) -> None:
        """Be there again, and break nothing any more."""
        self.down = None
        self.rules.clear()
        self.cut()

    def cut(self) -> None:
        """Cut all connections, WebSockets too."""
        for writer in list(self._open):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down == "refuse":
            return
        head = await reader.readuntil(b"\r\n\r\n")
        request = " ".join(head.split(b"\r\n", 1)[0].decode(errors="replace").split(" ")[:2])
        while self.down == "silent":  # noqa: ASYNC110 - an outage has no event; it is cut when it ends
            await asyncio.sleep(0.2)
        rule = next((rule for rule in self.rules if rule.takes(request)), None)
        self._count(rule.action if rule else "passed")
        if rule and rule.action == "delay":
            await asyncio.sleep(rule.seconds)
        if rule and rule.action == "status":
            writer.write(_answer(rule))
            await writer.drain()
        elif not rule or rule.action != "refuse":
            await self._pass_on(head, reader, writer, rule.action if rule else "")

    async def _pass_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, action: Action | Literal[""]
    ) -> None:
        there, back = await _dial(self.upstream)
        self._open.add(back)
        try:
            back.write(_once(head))
            up = asyncio.ensure_future(_relay(reader, back))
            if action == "drop":
                # Done for certain when its answer has begun; its client hears nothing of it.
                async with asyncio.timeout(_DRAIN_S):
                    await there.readuntil(b"\r\n\r\n")
            elif action == "truncate":
                answer = await there.read()
                body = answer.find(b"\r\n\r\n") + 4
                writer.write(answer[: body + (len(answer) - body) // 2])
                await writer.drain()
            else:
                await _relay(there, writer)
            up.cancel()
        finally:
            self._open.discard(back)
            back.transport.abort()

    def _count(self, what: str) -> None:
        self.requests[what] = self.requests.get(what, 0) + 1


def _once(head: bytes) -> bytes:
    """The same request, after which the server closes the connection; an upgrade stays as it is."""
    if re.search(rb"\r\nupgrade:", head, re.IGNORECASE):
        return head
    without = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return without[:-2] + b"Connection: close\r\n\r\n"


def _answer(rule: Rule) -> bytes:
    kind = "application/xml" if rule.body.startswith("<") else "application/json"
    head = f"HTTP/1.1 {rule.status} Broken\r\nRetry-After: {rule.seconds:.0f}\r\nContent-Length: {len(rule.body)}\r\n"
    return f"{head}Content-Type: {kind}\r\nConnection: close\r\n\r\n{rule.body}".encode()


async def _dial(upstream: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if upstream.startswith("/"):
        return await asyncio.open_unix_connection(upstream, limit=_HEAD)
    host, _, port = upstream.rpartition(":")
    return await asyncio.open_connection(host, int(port), limit=_HEAD)


async def _relay(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            to.write(data)
            await to.drain()
        if to.can_write_eof():
            to.write_eof()


@asynccontextmanager
async def proxy_to(upstream: str, socket: str | None = None, *, at: str = "127.0.0.1") -> AsyncGenerator[FaultProxy]:
    """Run a proxy before `host:port` or a Unix socket's path.

    Args:
        upstream: what it stands before.
        socket: path of the Unix socket to listen on; None: a free port of the address `at`.
        at: the address to listen on.
    """
    proxy = FaultProxy("", upstream)
    if socket:
        server = await asyncio.start_unix_server(proxy.serve, socket, limit=_HEAD)
        proxy.address = socket
    else:
        server = await asyncio.start_server(proxy.serve, at, 0, limit=_HEAD)
        proxy.address = f"{at}:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
        await server.wait_closed()
