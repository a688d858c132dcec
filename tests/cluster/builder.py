"""The builder's image for tests, from Debian packages, pushed without any engine: images/builder without a registry."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from cluster.commands import ClusterError
from cluster.images import base_layer
from cluster.layout import Layout
from cluster.oci import MANIFEST, OneLayer
from filelock import FileLock

_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends buildah skopeo uidmap libcap2-bin
chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap
setcap cap_setuid+ep /usr/bin/newuidmap
setcap cap_setgid+ep /usr/bin/newgidmap
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man /usr/share/locale
useradd --uid 1000 --create-home --home-dir /home/launch launch
echo launch:100000:65536 | tee /etc/subuid >/etc/subgid
"""
"""The same as images/builder/Dockerfile."""

_SMALL = (
    r"\./(bin|lib|lib64|tmp|etc(/passwd|/group)?|usr|usr/(bin|lib|lib64)(/[a-z0-9_]+-linux-gnu)?)"
    r"|\./usr/bin/(sh|dash|cat|cut|echo|env|false|grep|id|ls|sleep|test|true|wc)"
    r"|\./usr/lib(64)?/(.*-linux-gnu/)?(ld-.*|libc|libpcre2-8|libselinux)(\.so.*)?"
)
_CAPABILITIES = ("--xattrs", "--xattrs-include=security.capability")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def push_builder(layout: Layout, registry: str) -> str:
    """See to it that a registry has the builder's image; its repository and tag."""
    with FileLock(layout.home / "builder-lock"):
        layer = _layer(layout.home.parent)
        return push_image(OneLayer("", layer, {"Env": [_PATH], "Cmd": ["bash"]}), registry, "builder", layer.stem[-12:])


def push_base(layout: Layout, registry: str) -> str:
    """See to it that a registry has a small base image, a shell with a few programs; its repository and tag."""
    with FileLock(layout.home / "builder-lock"):
        layer = _small_layer(layout.home.parent)
        return push_image(OneLayer("", layer, {"Env": [_PATH]}), registry, "small", layer.stem[-12:])


def _small_layer(cache: Path) -> Path:
    base = base_layer(cache)
    wanted = cache / f"rootfs-small-{hashlib.sha256(f'{_SMALL} {base.name}'.encode()).hexdigest()[:12]}.tar"
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="builder.") as folder:
            found = re.compile(_SMALL)
            with tarfile.open(base) as source, tarfile.open(Path(folder) / "tar", "w") as archive:
                for member in source:
                    if found.fullmatch(member.name):
                        archive.addfile(member, source.extractfile(member) if member.isreg() else None)
            (Path(folder) / "tar").rename(wanted)
    return wanted


def _layer(cache: Path) -> Path:
    """Its root file system, made once on that of the base image: about a minute, and 60 MB from Debian."""
    base = base_layer(cache)
    wanted = cache / f"rootfs-builder-{hashlib.sha256(f'{_INSTALL} {base.name}'.encode()).hexdigest()[:12]}.tar"
    if not wanted.exists():
        print("Making the builder's image (a minute, 60 MB from Debian)", flush=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="builder.") as folder:
            root, archive = Path(folder) / "root", Path(folder) / "tar"
            root.mkdir()
            _run("tar", "--numeric-owner", "-C", str(root), "-xpf", str(base))
            shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
            _run("mknod", "-m", "666", str(root / "dev" / "null"), "c", "1", "3")
            _run("chroot", str(root), "sh", "-ec", _INSTALL)
            _run(
                "tar", "--numeric-owner", *_CAPABILITIES, "-C", str(root), "--exclude=./dev/*", "-cf", str(archive), "."
            )
            archive.rename(wanted)
    return wanted


def _run(*command: str) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    if done.returncode:
        raise ClusterError(f"{command[0]} failed: {(done.stdout + done.stderr)[-500:]}")


def push_image(image: OneLayer, registry: str, repository: str, tag: str) -> str:
    """Push an image, unless the registry has that tag."""
    connection = http.client.HTTPConnection(registry)
    try:
        path = f"/v2/{repository}"
        if _ask(connection, "HEAD", f"{path}/manifests/{tag}", headers={"Accept": MANIFEST})[0] != 200:
            config, layer, manifest = image.parts()
            _push_blob(connection, path, f"sha256:{hashlib.sha256(config).hexdigest()}", config)
            with image.layer.open("rb") as file:
                _push_blob(connection, path, layer, file)
            _check(_ask(connection, "PUT", f"{path}/manifests/{tag}", manifest, {"Content-Type": MANIFEST}))
    finally:
        connection.close()
    return f"{registry}/{repository}:{tag}"


def _push_blob(connection: http.client.HTTPConnection, path: str, digest: str, content: bytes | IO[bytes]) -> None:
    location = urlsplit(_check(_ask(connection, "POST", f"{path}/blobs/uploads/")))
    query = f"{location.query}&" if location.query else ""
    size = len(content) if isinstance(content, bytes) else os.fstat(content.fileno()).st_size
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    _check(_ask(connection, "PUT", f"{location.path}?{query}digest={digest}", content, headers))


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    body: bytes | IO[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    connection.request(method, url, body, headers or {})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get("Location", "")


def _check(told: tuple[int, str]) -> str:
    status, location = told
    if status not in {201, 202}:
        raise ClusterError(f"the registry does not take it: status {status}")
    return location
