"""An S3 server that misbehaves: a proxy before the real one, whose script may change, drop or cut any answer."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """What the client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the client is sent; `cut` bytes of the body at most, though the header tells its whole length."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut: int | None = None


Forward = Callable[[], Answer]
Script = Callable[[Request, Forward], Answer | None]
"""Makes the answer to a request, perhaps the real server's; None closes the connection without one."""


def error(status: int, code: str, message: str = "said so") -> Answer:
    """An answer as S3 writes it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>REQ1</RequestId></Error>"
    told = {"Content-Type": "application/xml", "x-amz-request-id": "REQ1", "x-amz-bucket-region": "eu-west-1"}
    return Answer(status, body.encode(), told)


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        endpoint: its URL.
        script: what it does with requests now.
        requests: method and path of all it was sent.
    """

    endpoint: str
    script: Script = lambda _, forward: forward()
    requests: list[str] = field(default_factory=list[str])

    def once(self, fault: Script) -> None:
        """Play a fault for the next request only."""

        def script(request: Request, forward: Forward) -> Answer | None:
            self.script = lambda _, forward: forward()
            return fault(request, forward)

        self.script = script


@contextmanager
def proxy_to(endpoint: str) -> Generator[Proxy]:
    """Run a proxy before an S3 server."""
    upstream = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            request = Request(self.command, self.path, dict(self.headers), body)
            proxy.requests.append(f"{self.command} {self.path}")
            answer = proxy.script(request, lambda: _forward(upstream, request))
            self.close_connection = True  # so that no client keeps a connection that nobody closes after the test
            if answer is None:
                return
            self.send_response(answer.status)
            for name, value in (
                {"Content-Length": str(len(answer.body)), "Connection": "close"} | answer.headers
            ).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forward(upstream: str, request: Request) -> Answer:
    connection = http.client.HTTPConnection(upstream, timeout=30)
    try:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in {"connection", "date"}}
        return Answer(answer.status, answer.read(), kept)
    finally:
        connection.close()


def cut(answer: Answer, length: int) -> Answer:
    """The same answer, whose body breaks off."""
    return replace(answer, cut=length)
