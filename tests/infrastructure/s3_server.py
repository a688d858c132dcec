"""An S3 server for tests, as a process of its own: moto's, with its writes one after another.

moto 5.2 looks whether a condition (`If-None-Match`, `If-Match`) holds, and then writes, in two steps with nothing in
between that keeps another thread out: of many writers at once, two can win, where S3 lets exactly one. The lock below
makes the two steps one. It is what real S3 promises, so the tests may rely on it; that *our* code relies on nothing
more, no test on moto can show.

Usage: `python s3_server.py FILE`; the address is in FILE once the server answers.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class OneWriter:
    """Lets one request that changes anything through at a time."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app, self._lock = app, threading.Lock()

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environment["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return self._app(environment, start)
        # Whoever sends slowly, or never to the end, holds nobody up.
        length = int(environment.get("CONTENT_LENGTH") or 0)
        environment["wsgi.input"] = io.BytesIO(environment["wsgi.input"].read(length))
        with self._lock:
            return list(self._app(environment, start))


PAGE = 50
"""So many objects a listing tells at once: a small number, so that every larger one has several pages."""


def main(address: Path) -> None:
    """Serve until the process is ended."""
    os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = str(PAGE)
    app = OneWriter(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    part = address.with_suffix(".part")
    part.write_text(f"http://127.0.0.1:{server.server_port}")
    part.rename(address)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
