"""A TCP relay before a server that counts HTTP requests and the statuses of their answers.

`GET /__counts` and `GET /__answers` tell them and begin anew. A process of its own, so that its work is in nobody's
figures. It looks only at the first bytes of what each side sends: a message of HTTP/1.1 begins a segment.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Callable

_REQUEST = re.compile(rb"^(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_ANSWER = re.compile(rb"^HTTP/1\.1 (\d{3}) ")
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=get_scheduled_flow_runs).*|(?<=/work_pools/)[^/]+|(?<=/name/).*"
    # Of Kubernetes:
    r"|(?<=/namespaces/)[^/?]+|(?<=/pods/)[^/?]+|(?<=/jobs/)[^/?]+|(?<=/events/)[^/?]+|\?.*"
)


class Relay:
    """Counts requests on their way to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._counts: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        first = await reader.read(1 << 16)
        for path, counter in ((b"/__counts", self._counts), (b"/__answers", self._answers)):
            if first.startswith(b"GET " + path + b" "):
                await _tell(counter, writer)
                return
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:  # the server is away: so is this
            writer.close()
            return
        self._count(first)
        forth.write(first)
        await asyncio.gather(self._pass(reader, forth, self._count), self._pass(back, writer, self._count_answer))

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: Callable[[bytes], None]
    ) -> None:
        try:
            while data := await source.read(1 << 16):
                count(data)
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # either side went away: so does the other
        finally:
            sink.close()

    def _count(self, data: bytes) -> None:
        if name := request_name(data):
            self._counts[name] += 1

    def _count_answer(self, data: bytes) -> None:
        if found := _ANSWER.match(data):
            self._answers[found[1].decode()] += 1


def request_name(data: bytes) -> str | None:
    """Method and path of a request, without whose it is; None: no request begins here. Pure."""
    found = _REQUEST.match(data)
    if found is None:
        return None
    method, path = found[1].decode(), found[2].decode()
    return f"{'WATCH' if 'watch=' in path else method} {_ID.sub('*', path)}"


async def _tell(counter: Counter[str], writer: asyncio.StreamWriter) -> None:
    body = json.dumps(counter).encode()
    counter.clear()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def main(port: int, hosts: list[str]) -> None:
    """Listen on a free port, the same on all these addresses, print it, and relay for ever."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    listening = server.sockets[0].getsockname()[1]
    for host in hosts:
        await asyncio.start_server(relay.serve, host, listening)
    print(listening, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
