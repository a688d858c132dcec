"""Gives the nodes their images: those which every node has, unpacked once, and those of a Docker Engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cluster.api import wait_for
from cluster.commands import ClusterError, run
from cluster.layout import TREE, Layout, Node
from cluster.oci import OneLayer

PAUSE_IMAGE = "docker.io/launch-jobs/pause:1"
BASE_IMAGE = "docker.io/library/launch-jobs-base:bookworm"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_PLUGINS = [
    *(f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")),
    "io.containerd.internal.v1.opt",
]
"""Of containerd: those that ask this host for more than there is, or leave a folder on it."""

_CRI = "io.containerd.grpc.v1.cri"


def seed(layout: Layout) -> Path:
    """Folder of a containerd that has the images which every node has, made once: unpacking takes many seconds.

    Raises:
        ClusterError: there is no base image, and it cannot be made here.
    """
    base = base_layer(layout.home.parent)
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
    pause = layout.programs / "pause.tar"
    settings: dict[str, object] = {"Env": ["LANG=C.UTF-8", _PATH], "Cmd": ["bash"]}
    return [
        OneLayer(PAUSE_IMAGE, pause, {"Entrypoint": ["/pause"], "User": "65535:65535"}),
        OneLayer(BASE_IMAGE, base, settings),
    ]


def base_layer(cache: Path) -> Path:
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
