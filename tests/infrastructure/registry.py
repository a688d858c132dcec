"""Debian's `docker-registry` as a process of the tests, and a proxy before it through which it can lie or fail.

On 127.0.0.1 a Docker Engine takes a registry without TLS.
"""

from __future__ import annotations

import http.client
import random
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from infrastructure.plugin import missing
from typing_extensions import override

ACCOUNT = ("agent", "open-sesame-9")
_HTPASSWD = "agent:$2b$04$1gBohE/kmqFkEneeImRENOOW3Iadz8NlRPl1tL0YqmWGlChsGbPOW\n"
"""bcrypt of the account's password, as htpasswd writes it."""

_CONFIGURATION = """\
version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_AUTHENTICATION = "auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"


def _free_port() -> int:
    """A port that the kernel gives to nobody by itself, so that it is still free after a restart."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class RegistryProcess:
    """One `docker-registry`; its storage and port outlive a stop."""

    folder: Path
    has_accounts: bool = False
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self.process:
            return
        text = _CONFIGURATION + (_AUTHENTICATION if self.has_accounts else "")
        (self.folder / "config.yml").write_text(text.format(folder=self.folder, port=self.port))
        (self.folder / "htpasswd").write_text(_HTPASSWD)
        with (self.folder / "log").open("ab") as log:
            command = ["docker-registry", "serve", str(self.folder / "config.yml")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while not _answers(self.port):
            assert time.monotonic() < end, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process, if it runs."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def digest(self, path: str, tag: str) -> str | None:
        """What it has under a tag, by its own HTTP API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        accepted = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        connection.request("HEAD", f"/v2/{path}/manifests/{tag}", headers=accepted)
        answer = connection.getresponse()
        connection.close()
        return answer.headers["Docker-Content-Digest"] if answer.status == 200 else None


def _answers(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def registry_process(tmp_path_factory: pytest.TempPathFactory) -> Generator[RegistryProcess]:
    """A registry that is open to all, one a test process: push under a namespace of your own."""
    yield from _process(tmp_path_factory.mktemp("registry"), has_accounts=False)


@pytest.fixture(scope="session")
def closed_registry_process(tmp_path_factory: pytest.TempPathFactory) -> Generator[RegistryProcess]:
    """A registry that knows only `ACCOUNT`."""
    yield from _process(tmp_path_factory.mktemp("closed-registry"), has_accounts=True)


def _process(folder: Path, *, has_accounts: bool) -> Generator[RegistryProcess]:
    if not shutil.which("docker-registry"):
        missing("docker-registry: install it with scripts/system-packages")
    made = RegistryProcess(folder, has_accounts)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def docker_registry(registry_process: RegistryProcess) -> RegistryProcess:
    """The open registry, running; a test may stop it."""
    registry_process.start()
    return registry_process


@pytest.fixture
def closed_registry(closed_registry_process: RegistryProcess) -> RegistryProcess:
    """The registry that knows only `ACCOUNT`, running."""
    closed_registry_process.start()
    return closed_registry_process


@pytest.fixture
def namespace() -> str:
    """A path in a registry that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@dataclass
class Answer:
    """What a registry answers to a request, for a proxy to change."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Proxy:
    """A port before a registry.

    Attributes:
        address: host and port.
        change: what is done to each answer.
        route: from a path that is asked for to the one that the registry is asked for.
        seen: every request's method and path.
    """

    address: str
    change: Callable[[Answer], object] = lambda answer: None
    route: Callable[[str], str] = lambda path: path
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@contextmanager
def proxy_before(registry: RegistryProcess) -> Generator[Proxy]:
    """Forward every request to a registry; answers pass through `change`."""

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            proxy.seen.append((self.command, self.path))
            answer = _ask(registry.port, proxy.route(self.path), self)
            proxy.change(answer)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _forward

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as server:
        proxy = Proxy(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _ask(port: int, path: str, request: BaseHTTPRequestHandler) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        body = _body(request)
        names = {name for name in request.headers if name.lower() != "transfer-encoding"}
        headers = {name: ", ".join(request.headers.get_all(name, [])) for name in names}
        if body:
            headers["Content-Length"] = str(len(body))
        connection.request(request.command, path, body, headers)
        got = connection.getresponse()
        told = {name: value for name, value in got.headers.items() if name.lower() != "transfer-encoding"}
        return Answer(request.command, request.path, got.status, told, got.read())
    finally:
        connection.close()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """A request's body, of known length or in chunks."""
    if request.headers["Transfer-Encoding"] != "chunked":
        return request.rfile.read(int(request.headers["Content-Length"] or 0))
    whole = b""
    while size := int(request.rfile.readline(), 16):
        whole += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return whole
