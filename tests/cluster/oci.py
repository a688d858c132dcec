"""An image of one layer as an OCI archive, written on the fly: no registry and no Docker Engine has a part in it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TYPE = "application/vnd.oci.image"
MANIFEST = f"{_TYPE}.manifest.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class OneLayer:
    """An image of one layer.

    Attributes:
        name: with registry and tag, as containerd files it.
        layer: a tar file of the root file system.
        settings: what its containers run by default.
    """

    name: str
    layer: Path
    settings: dict[str, object]

    def write(self, out: IO[bytes]) -> None:
        """Write it as an OCI archive: https://github.com/opencontainers/image-spec/blob/main/image-layout.md."""
        config, layer, manifest = self.parts()
        entry = _descriptor("manifest.v1+json", _digest(manifest), len(manifest))
        entry["annotations"] = {"io.containerd.image.name": self.name}
        index = _encode({"schemaVersion": 2, "manifests": [entry]})
        with tarfile.open(fileobj=out, mode="w|") as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(archive, "index.json", index)
            _add(archive, _blob(_digest(manifest)), manifest)
            _add(archive, _blob(_digest(config)), config)
            archive.add(self.layer, _blob(layer))

    def parts(self) -> tuple[bytes, str, bytes]:
        """Its configuration, the digest of its layer, and its manifest."""
        layer = self._file_digest()
        config = _encode(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": self.settings,
                "rootfs": {"type": "layers", "diff_ids": [layer]},
                # Optional, but buildah 1.28 can build only one image upon one that has none.
                "history": [{"created_by": "tests/cluster"}],
            }
        )
        size = self.layer.stat().st_size
        manifest = _encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor("config.v1+json", _digest(config), len(config)),
                "layers": [_descriptor("layer.v1.tar", layer, size)],
            }
        )
        return config, layer, manifest

    def _file_digest(self) -> str:
        with self.layer.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": f"{_TYPE}.{kind}", "digest": digest, "size": size}


def _encode(document: object) -> bytes:
    return json.dumps(document).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
