"""The campaign's proxy does to requests what its rules say, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from fault_proxy import Rule, proxy_to

pytestmark = pytest.mark.anyio


@pytest.fixture
def upstream() -> Generator[tuple[str, list[str]]]:
    """A server that remembers what it did."""
    done: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            done.append(f"{self.path} {body.decode()}")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}", done
    server.shutdown()
    server.server_close()
    thread.join()


async def test_it_passes_requests_on(upstream: tuple[str, list[str]]) -> None:
    """Bodies of any size go both ways."""
    address, done = upstream
    async with proxy_to(address) as proxy, httpx.AsyncClient(base_url=f"http://{proxy.address}") as client:
        assert (await client.post("/a", content="x" * 300_000)).text == "x" * 300_000
        assert (await client.post("/b", content="y")).text == "y"
    assert len(done) == 2
    assert proxy.requests == {"passed": 2}


async def test_a_dropped_answer_was_done(upstream: tuple[str, list[str]]) -> None:
    """Its client hears nothing, once; the other path and the next request are as ever."""
    address, done = upstream
    async with proxy_to(address) as proxy, httpx.AsyncClient(base_url=f"http://{proxy.address}") as client:
        proxy.rules.append(Rule("POST /a", "drop"))
        await client.post("/b")
        with pytest.raises(httpx.TransportError):
            await client.post("/a")
        await client.post("/a")
    assert done == ["/b ", "/a ", "/a "]


async def test_what_is_refused_was_not_done(upstream: tuple[str, list[str]]) -> None:
    """Neither by a rule, nor by a status, nor while the API is away."""
    address, done = upstream
    async with proxy_to(address) as proxy, httpx.AsyncClient(base_url=f"http://{proxy.address}") as client:
        proxy.rules += [Rule("/a", "refuse"), Rule("/a", "status", status=429)]
        with pytest.raises(httpx.TransportError):
            await client.post("/a")
        assert (await client.post("/a")).status_code == 429
        proxy.go_down()
        with pytest.raises(httpx.TransportError):
            await client.post("/a")
        proxy.come_back()
        assert (await client.post("/a")).status_code == 200
    assert done == ["/a "]


async def test_a_silent_api_never_answers(upstream: tuple[str, list[str]]) -> None:
    """Until it comes back."""
    address, done = upstream
    async with proxy_to(address) as proxy, httpx.AsyncClient(base_url=f"http://{proxy.address}") as client:
        proxy.go_down("silent")
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/a", timeout=0.3)
        proxy.come_back()
        await client.post("/a")
    assert done == ["/a "]


async def test_an_answer_ends_in_its_middle(upstream: tuple[str, list[str]]) -> None:
    """The request was done; its client sees that something is missing."""
    address, done = upstream
    async with proxy_to(address) as proxy, httpx.AsyncClient(base_url=f"http://{proxy.address}") as client:
        proxy.rules.append(Rule("/a", "truncate"))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/a", content="0123456789")
    assert done == ["/a 0123456789"]
