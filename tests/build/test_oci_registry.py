"""A registry asked directly: Debian's own as a process, and one that lies."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from infrastructure.registry import ACCOUNT, Answer, RegistryProcess, proxy_before
from tiny_registry import tiny_registry
from typing_extensions import override

from launch_jobs.build.oci_registry import OciRegistry
from launch_jobs.engine import Login
from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.names import ImageRef, sha256

pytestmark = pytest.mark.anyio

AMD = "linux/amd64"


async def test_an_image_is_known_by_its_digest_and_platform() -> None:
    """By tag and by digest; a tag that is not there is none."""
    with tiny_registry(b"content") as (repository, digest):
        for name in (f"{repository}:1", f"{repository}@{digest}"):
            found = await OciRegistry().look(ImageRef.parse(name), AMD)
            assert found is not None
            assert (found.digest, found.platform) == (digest, AMD)
        assert await OciRegistry().look(ImageRef.parse(f"{repository}:2"), AMD) is None
        with pytest.raises(BadInput, match="is for linux/amd64, not for linux/arm64"):
            await OciRegistry().look(ImageRef.parse(f"{repository}:1"), "linux/arm64")


async def test_another_content_than_the_digest_names_is_refused(tmp_path: Path) -> None:
    """Whoever stands between."""

    def lie(answer: Answer) -> None:
        answer.body = answer.body.replace(b'"amd64"', b'"arm64"').replace(b'"size"', b'"Size"')

    with tiny_registry(b"content") as (repository, digest):
        port = int(repository.partition("/")[0].rpartition(":")[2])
        with proxy_before(RegistryProcess(tmp_path, port=port)) as proxy:
            proxy.change = lie
            with pytest.raises(Refused, match=f"other content than the digest names.*{digest}"):
                await OciRegistry().look(ImageRef.parse(f"{proxy.address}/tiny@{digest}"), AMD)


async def test_an_account_is_shown_to_its_own_registry_only(closed_registry: RegistryProcess) -> None:
    """And the wrong one, or none, is told as what it is."""
    reference = ImageRef.parse(f"{closed_registry.address}/nothing:1")
    right, wrong = Login(*ACCOUNT, closed_registry.address), Login(ACCOUNT[0], "no", closed_registry.address)
    assert await OciRegistry([right]).look(reference, AMD) is None
    for logins in ([wrong], [], [Login(*ACCOUNT, "elsewhere.example")]):
        with pytest.raises(Refused, match="The registry refuses"):
            await OciRegistry(logins).look(reference, AMD)


async def test_a_registry_that_is_away_is_unavailable() -> None:
    """So that it is tried again."""
    with pytest.raises(Unavailable, match="does not answer"):
        await OciRegistry().look(ImageRef.parse("127.0.0.1:1/nothing:1"), AMD)


CONFIG = json.dumps({"architecture": "arm64", "os": "linux", "config": {"Labels": {"of": "arm"}}}).encode()
MANIFEST = json.dumps({"config": {"digest": sha256(CONFIG)}, "layers": []}).encode()
LIST = json.dumps(
    {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"digest": sha256(MANIFEST), "platform": {"os": "linux", "architecture": "arm64"}}],
    }
).encode()
PAGES = {"manifests/1": LIST, f"manifests/{sha256(MANIFEST)}": MANIFEST, f"blobs/{sha256(CONFIG)}": CONFIG}


class _ByToken(BaseHTTPRequestHandler):
    """A registry for several platforms that wants a token, for which the account is shown elsewhere."""

    def do_GET(self) -> None:
        shown, where = self.headers.get("Authorization"), f"http://{self.headers['Host']}/token"
        body = PAGES.get(self.path.removeprefix("/v2/many/"), b"")
        if self.path.startswith("/token?service=here&scope=repository"):
            is_known = shown == f"Basic {b64encode(':'.join(ACCOUNT).encode()).decode()}"
            self._answer(200 if is_known else 401, b'{"token": "t"}')
        elif shown != "Bearer t":
            self._answer(401, b"", f'Bearer realm="{where}",service="here",scope="repository:many:pull"')
        else:
            self._answer(200 if body else 404, body)

    def _answer(self, status: int, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


@pytest.fixture
def by_token() -> Generator[str]:
    """Its host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _ByToken) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_token_is_fetched_and_the_platform_chosen(by_token: str) -> None:
    """The digest is the list's, as an engine would say it; the labels are those of the platform's image."""
    registry = OciRegistry([Login(*ACCOUNT, by_token)])
    found = await registry.look(ImageRef.parse(f"{by_token}/many:1"), "linux/arm64")
    assert found is not None
    assert (found.digest, found.labels) == (sha256(LIST), {"of": "arm"})
    with pytest.raises(BadInput, match="no image for linux/amd64"):
        await registry.look(ImageRef.parse(f"{by_token}/many:1"), AMD)
    with pytest.raises(Refused, match="The registry refuses"):
        await OciRegistry().look(ImageRef.parse(f"{by_token}/many:1"), AMD)
