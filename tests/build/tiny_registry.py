"""A registry on loopback that serves one image of one file: enough to pull from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

_KIND = "application/vnd.docker."
_MANIFEST = _KIND + "distribution.manifest.v2+json"
_UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tiny_image(content: bytes, system: str) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an image with one file, and its blobs by digest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(layer.getvalue(), mtime=0)
    rootfs = {"type": "layers", "diff_ids": [_digest(layer.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": system, "config": {}, "rootfs": rootfs}).encode()
    kinds = {"config": ("container.image.v1+json", config), "layer": ("image.rootfs.diff.tar.gzip", packed)}
    parts = {
        name: {"mediaType": _KIND + kind, "size": len(data), "digest": _digest(data)}
        for name, (kind, data) in kinds.items()
    }
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": parts["config"], "layers": [parts["layer"]]}
    return json.dumps(manifest).encode(), {_digest(data): data for data in (config, packed)}


@contextmanager
def tiny_registry(content: bytes, system: str = "linux") -> Generator[tuple[str, str]]:
    """Serve an image as `…/tiny:1`; yields its repository and its digest."""
    manifest, blobs = tiny_image(content, system)
    pages = {f"/v2/tiny/blobs/{digest}": data for digest, data in blobs.items()} | {"/v2/": b"{}"}
    pages |= {f"/v2/tiny/manifests/{name}": manifest for name in ("1", _digest(manifest))}

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = pages.get(self.path, _UNKNOWN)
            self.send_response(404 if data is _UNKNOWN else 200)
            self.send_header("Content-Type", _MANIFEST if "manifests" in self.path else "application/octet-stream")
            self.send_header("Docker-Content-Digest", _digest(data))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"localhost:{server.server_port}/tiny", _digest(manifest)
        finally:
            server.shutdown()
            thread.join()
