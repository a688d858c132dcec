"""A private git host on loopback: git's own http-backend behind basic authentication."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from launch_jobs.capture.remote_rule import EVERYWHERE

_SETTING = "LAUNCH_JOBS_GIT_REMOTES"

USER = "robot"
TOKEN = "s3cr3t-token-for-git"
SECRETS = (TOKEN, base64.b64encode(f"{USER}:{TOKEN}".encode()).decode())
"""The token as one gives it, and as it goes over the wire."""


@dataclass
class GitHost:
    """One host.

    Attributes:
        folder: its bare repositories.
        elsewhere: address that every request is sent on to, after the account was accepted.
        authorizations: that header of each request.
        arguments: command lines of processes that held the account while a request was served.
    """

    folder: Path
    elsewhere: str | None = None
    address: str = ""
    authorizations: list[str | None] = field(default_factory=list[str | None])
    arguments: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """Host and port."""
        return urlsplit(self.address).netloc


@contextmanager
def git_host(folder: Path) -> Generator[GitHost]:
    """Serve the bare repositories of a folder; this process, and what it starts meanwhile, may fetch from it."""
    host = GitHost(folder)
    allowed = os.environ.get(_SETTING)

    class Handler(_Handler):
        serves = host

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.address = f"http://127.0.0.1:{server.server_port}"
    os.environ[_SETTING] = f"{allowed or EVERYWHERE} {host.address}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield host
    finally:
        os.environ.pop(_SETTING) if allowed is None else os.environ.update({_SETTING: allowed})
        server.shutdown()
        thread.join()
        server.server_close()


def _command_lines() -> list[str]:
    found: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


class _Handler(BaseHTTPRequestHandler):
    serves: GitHost

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer one request."""
        host, given = self.serves, self.headers.get("Authorization")
        host.authorizations.append(given)
        host.arguments += [line for line in _command_lines() if any(secret in line for secret in SECRETS)]
        if given != f"Basic {SECRETS[1]}":
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        elif host.elsewhere:
            self._answer(302, {"Location": host.elsewhere + self.path}, b"")
        else:
            self._backend()

    do_POST = do_GET

    def _backend(self) -> None:
        url = urlsplit(self.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.serves.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"], env=os.environ | variables, input=body, capture_output=True, check=True, timeout=60
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(int(headers.pop("Status", "200")[:3]), headers, content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
