"""Servers that are not what `launch connect` looks for: one answer to everything, and what was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
from infrastructure.plugin import missing

from launch_jobs.hosts import is_loopback


@dataclass
class Foreign:
    """One server.

    Attributes:
        answers: path → (status, body); other paths get that of "".
        location: where it sends on to.
        guarded: paths that want a credential, which is any.
    """

    answers: dict[str, tuple[int, str]]
    location: str = ""
    guarded: tuple[str, ...] = ()
    url: str = ""
    credentials: list[str] = field(default_factory=list[str])


@contextmanager
def serving(foreign: Foreign, host: str = "127.0.0.1") -> Generator[Foreign]:
    """Serve on an address of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            foreign.credentials += [given] if given else []
            status, body = foreign.answers.get(self.path, foreign.answers.get("", (404, "")))
            if self.path in foreign.guarded and not given:
                status, body = 401, '{"exception_message": "Unauthorized"}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if foreign.location:
                self.send_header("Location", foreign.location)
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer((host, 0), Handler)
    foreign.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield foreign
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def prefect_of(version: str) -> Foreign:
    """What answers as a Prefect server of a version does, with a password."""
    return Foreign(
        {"/api/health": (200, "true"), "/api/admin/version": (200, f'"{version}"')}, guarded=("/api/admin/version",)
    )


def address() -> str:
    """An address of this machine that is not loopback."""
    found = [one.address for card in psutil.net_if_addrs().values() for one in card if one.family == socket.AF_INET]
    return next((one for one in found if not is_loopback(one)), "") or missing("an address that is not loopback")
