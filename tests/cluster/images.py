"""Images without a registry and without a Docker Engine: an archive of one layer, made on the fly, into a node."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster.api import wait_for
from cluster.commands import ClusterError, run
from cluster.layout import TREE, Layout, Node

PAUSE_IMAGE = "docker.io/launch-jobs/pause:1"
BASE_IMAGE = "docker.io/library/launch-jobs-base:bookworm"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_PLUGINS = [f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")]
"""Of containerd: those that ask this host for more than there is."""

_CRI = "io.containerd.grpc.v1.cri"
_TYPE = "application/vnd.oci.image"
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
        layer = self._file_digest()
        config = _encode(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": self.settings,
                "rootfs": {"type": "layers", "diff_ids": [layer]},
            }
        )
        size = self.layer.stat().st_size
        manifest = _encode(
            {
                "schemaVersion": 2,
                "mediaType": f"{_TYPE}.manifest.v1+json",
                "config": _descriptor("config.v1+json", _digest(config), len(config)),
                "layers": [_descriptor("layer.v1.tar", layer, size)],
            }
        )
        entry = _descriptor("manifest.v1+json", _digest(manifest), len(manifest))
        entry["annotations"] = {"io.containerd.image.name": self.name}
        index = _encode({"schemaVersion": 2, "manifests": [entry]})
        with tarfile.open(fileobj=out, mode="w|") as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(archive, "index.json", index)
            _add(archive, _blob(_digest(manifest)), manifest)
            _add(archive, _blob(_digest(config)), config)
            archive.add(self.layer, _blob(layer))

    def _file_digest(self) -> str:
        with self.layer.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def seed(layout: Layout) -> Path:
    """Folder of a containerd that has the images which every node has, made once: unpacking takes many seconds.

    Raises:
        ClusterError: there is no base image, and it cannot be made here.
    """
    base = _base_layer(layout.home.parent)
    about = f"{layout.programs.readlink()} {base.name} {base.stat().st_size} {base.stat().st_mtime_ns}"
    wanted = layout.home / f"images-{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    if not wanted.exists():
        print("Unpacking the base image, once", flush=True)
        for former in layout.home.glob("images-*"):
            shutil.rmtree(former)
        with _containerd(layout, wanted) as address:
            for image in _every_node_has(layout, base):
                with _importer(address) as stdin:
                    image.write(stdin)
    return wanted


def plant(seeded: Path, folder: Path) -> None:
    """Give a node the images, by hard links: content and layers never change. The databases are its own."""
    run("cp", "--archive", "--link", str(seeded), str(folder))
    for database in folder.rglob("*.db"):
        database.unlink()
        shutil.copy(seeded / database.relative_to(folder), database)


def import_from_docker(layout: Layout, node: Node, reference: str) -> None:
    """Put an image that the Docker Engine has into a node's containerd.

    Raises:
        ClusterError: there is no engine, or it has no such image.
    """
    run("docker", "image", "inspect", "--format", "{{.Id}}", reference)
    with _importer(layout.of(node) / "containerd.sock") as stdin:
        subprocess.run(["docker", "save", reference], stdin=subprocess.DEVNULL, stdout=stdin, check=True)


def _every_node_has(layout: Layout, base: Path) -> list[OneLayer]:
    pause = layout.run / "pause.tar"
    with tarfile.open(pause, "w") as archive:
        archive.add(layout.programs / "pause", "pause")
    settings: dict[str, object] = {"Env": ["LANG=C.UTF-8", _PATH], "Cmd": ["bash"]}
    return [
        OneLayer(PAUSE_IMAGE, pause, {"Entrypoint": ["/pause"], "User": "65535:65535"}),
        OneLayer(BASE_IMAGE, base, settings),
    ]


def _base_layer(cache: Path) -> Path:
    """The root file system that scripts/docker-base made, the newest one; have it made if there is none."""
    for _ in range(2):
        found = sorted(cache.glob("rootfs-bookworm-*.tar"), key=lambda path: path.stat().st_mtime)
        if found:
            return found[-1]
        # Without a Docker Engine it fails at its end, when the root file system is there.
        run(str(TREE / "scripts" / "docker-base"), check=False)
    raise ClusterError("there is no base image: see what scripts/docker-base says")


@contextmanager
def _containerd(layout: Layout, wanted: Path) -> Generator[Path]:
    """A containerd for as long as it takes; its folder gets its name when all went well."""
    folder, state = layout.home / f"unfinished.{os.getpid()}", layout.run / "seed"
    shutil.rmtree(folder, ignore_errors=True)
    state.mkdir()
    address = state / "containerd.sock"
    options = ["--root", str(folder), "--state", str(state / "state"), "--address", str(address)]
    (state / "containerd.toml").write_text(f"version = 2\ndisabled_plugins = {json.dumps([*NO_PLUGINS, _CRI])}\n")
    with (layout.logs / "launch-seed.containerd.log").open("wb") as log:
        command = ["containerd", "--config", str(state / "containerd.toml"), *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(knock(address), "a containerd to unpack images")
        yield address
    finally:
        process.terminate()
        process.wait()
    folder.rename(wanted)


def knock(address: Path) -> Callable[[], bool]:
    """A question: whether someone answers at a Unix socket."""

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as knocking:
            return knocking.connect_ex(str(address)) == 0

    return answers


@contextmanager
def _importer(address: Path) -> Generator[IO[bytes]]:
    command = ["ctr", "--address", str(address), "--namespace", "k8s.io", "images", "import", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdin and process.stdout
    with suppress(BrokenPipeError), process.stdin as stdin:  # what it said tells more
        yield stdin
    said = process.stdout.read().decode(errors="replace")
    if process.wait():
        raise ClusterError(f"containerd does not take the image: {said.strip()[-400:]}")


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
