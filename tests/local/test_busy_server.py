"""A server that has too much to do is asked again; one that is broken or away is not."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from typing_extensions import override

from launch_jobs.client import Overloaded, connect, despite_load
from launch_jobs.errors import Unavailable

pytestmark = pytest.mark.anyio


class _Server(ThreadingHTTPServer):
    answers: list[int]
    """Statuses of the next answers; the last one of all that follow."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] - the server of this module

    def do_GET(self) -> None:
        """Answer as the test says; `/csrf-token` is not there."""
        is_first = "csrf" in self.path
        answers = self.server.answers
        self.send_response(422 if is_first else answers.pop(0) if len(answers) > 1 else answers[0])
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Generator[_Server]:
    """A server that answers with the statuses it is given; Prefect's client asks it once."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api"
        with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
            yield server
        server.shutdown()
        thread.join()


async def _hello() -> int:
    async with connect() as client:
        return (await client.hello()).status_code


async def test_a_busy_server_is_asked_until_it_answers(server: _Server) -> None:
    """A user hears nothing of its 503."""
    server.answers = [503, 200]
    assert await despite_load(_hello) == 200


async def test_a_broken_server_is_told_at_once(server: _Server) -> None:
    """To ask it again for minutes would only hide the fault."""
    server.answers = [500]
    with pytest.raises(Unavailable) as raised:
        await despite_load(_hello)
    assert not isinstance(raised.value, Overloaded)
