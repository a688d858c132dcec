"""An agent's health over HTTP, on loopback by default: `/healthz` for a supervisor, `/metrics` for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import override

from launch_jobs.errors import Unavailable
from launch_jobs.metrics import API_ERRORS, REGISTRY

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIEnvironment

LOOPBACK = "127.0.0.1"
_SILENT_S = 60.0
"""Each loop does something at least every 30 s; one that says nothing for longer hangs."""

_PATIENCE_S = 5.0


class Health:
    """What the agent's loops last said. Told from the main thread, asked from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[tuple[str, str], str] = {}
        self._heard: float | None = None

    def well(self, queue: str, work: str) -> None:
        """Something worked."""
        with self._lock:
            self._troubles.pop((queue, work), None)
            self._heard = time.monotonic()

    def ill(self, queue: str, work: str, why: str) -> None:
        """Something did not work, and will be tried again."""
        API_ERRORS.labels(queue, work).inc()
        with self._lock:
            self._troubles[queue, work] = why
            self._heard = time.monotonic()

    def trouble(self) -> str:
        """Why the agent is blind; empty: it is well."""
        with self._lock:
            if self._heard is None:
                return "it has not reached its server yet"
            if time.monotonic() > self._heard + _SILENT_S:
                return f"its loops have been silent for {time.monotonic() - self._heard:.0f} s"
            return "; ".join(f"{queue}, {work}: {why}" for (queue, work), why in sorted(self._troubles.items()))


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: an agent's log is for its runs."""


class HealthServer:
    """Answers from a thread of its own, so that it answers when the agent hangs, too.

    Args:
        health: of this agent.
        port: 0: a free one.
        host: the address it listens on; a pod's own is not loopback.

    Raises:
        Unavailable: the port is taken.
    """

    def __init__(self, health: Health, port: int, host: str = LOOPBACK) -> None:
        self._health, self._host = health, host
        try:
            self._server: WSGIServer = make_server(host, port, self._answer, handler_class=_Handler)
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on {host}:{port}: {error.strerror}", do="Choose another --health-port"
            ) from error
        threading.Thread(target=self._server.serve_forever, name="launch-health", daemon=True).start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self._host}:{self._server.server_port}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        answer = _PATHS.get(environ.get("PATH_INFO", ""))
        status, kind, body = answer(self._health) if answer else ("404 Not Found", _TEXT, b"/healthz or /metrics\n")
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


_TEXT = "text/plain; charset=utf-8"


def _healthz(health: Health) -> tuple[str, str, bytes]:
    trouble = health.trouble()
    if trouble:
        return "503 Service Unavailable", _TEXT, f"blind: {trouble}\n".encode()
    return "200 OK", _TEXT, b"ok\n"


def _metrics(_: Health) -> tuple[str, str, bytes]:
    return "200 OK", CONTENT_TYPE_LATEST, generate_latest(REGISTRY)


_PATHS: dict[str, Callable[[Health], tuple[str, str, bytes]]] = {"/healthz": _healthz, "/metrics": _metrics}
