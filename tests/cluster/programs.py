"""Sees to the programs of the test cluster: Debian's, and those that are built once from the Go module beside this."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from cluster.commands import ClusterError, run
from cluster.layout import TREE, Layout

_SOURCE = Path(__file__).parent
_FROM_DEBIAN = ("containerd", "ctr", "runc", "docker-registry", "iptables", "ip", "nsenter", "unshare", "sysctl")
_CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns")
_PARTS = (*_CONTROL_PLANE, "kubelet", "kube-proxy")
_TOOLS = "tools"
"""Folder for what a user of the cluster calls; the other one is for the cluster itself."""


def see_to_programs(layout: Layout) -> None:
    """Install and build what is not there yet; the first time takes many minutes."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    _install()
    for rest in layout.home.glob("unfinished.*"):
        shutil.rmtree(rest)
    wanted = layout.home / f"programs-{_key()}"
    if not wanted.exists():
        _build(layout, wanted)
    if not (layout.programs.is_symlink() and layout.programs.readlink() == Path(wanted.name)):
        new = layout.home / f"programs.{os.getpid()}"
        new.symlink_to(wanted.name)
        new.replace(layout.programs)


def tools(layout: Layout) -> Path:
    """Folder with `kubectl` and `helm`."""
    return layout.programs / _TOOLS


def _install() -> None:
    missing = [name for name in _FROM_DEBIAN if not shutil.which(name)]
    if missing or not _has_cni():
        done = subprocess.run([TREE / "scripts" / "system-packages", "--cluster"], check=False)
        if done.returncode:
            raise ClusterError(f"missing: {', '.join(missing) or 'the CNI plugins'}")


def _has_cni() -> bool:
    return any(Path(folder, "bridge").exists() for folder in ("/usr/lib/cni", "/opt/cni/bin"))


def _key() -> str:
    """All that decides the programs, but the Go release, of which any will do."""
    digest = hashlib.sha256()
    for path in sorted([*_SOURCE.rglob("*.go"), _SOURCE / "go.mod", _SOURCE / "go.sum", Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _build(layout: Layout, wanted: Path) -> None:
    """Build into a new folder, and rename it when it is whole; what was built before goes."""
    if not shutil.which("go"):
        raise ClusterError("building Kubernetes needs Go 1.24 or newer: install it, or name a cluster by KUBECONFIG")
    print(
        "Building Kubernetes, CoreDNS and Helm from their Go modules, once (6 to 20 minutes, 3 GB of cache)",
        flush=True,
    )
    layout.logs.mkdir(parents=True, exist_ok=True)
    unfinished = layout.home / f"unfinished.{os.getpid()}"
    try:
        _go_build(layout, unfinished)
        with tarfile.open(unfinished / "pause.tar", "w") as archive:
            archive.add(unfinished / "pause", "pause")
        (unfinished / _TOOLS).mkdir()
        for name in _PARTS:
            (unfinished / name).symlink_to("launch-cluster")
        (unfinished / _TOOLS / "kubectl").symlink_to("../launch-cluster")
        (unfinished / _TOOLS / "helm").symlink_to("../helm")
        for former in layout.home.glob("programs-*"):
            shutil.rmtree(former)
        unfinished.rename(wanted)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _go_build(layout: Layout, folder: Path) -> None:
    log = layout.logs / "build.log"
    caches = {"GOMODCACHE": layout.home / "go" / "modules", "GOCACHE": layout.home / "go" / "build"}
    # No compiler of C is needed; a cache of modules can be deleted like any folder.
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"} | {name: str(path) for name, path in caches.items()}
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {_version_flags()}", "-o", f"{folder}/"]
    packages = [".", "./pause", "./gpu-plugin", "helm.sh/helm/v3/cmd/helm"]
    with log.open("wb") as out:
        command = ["nice", "-n", "19", "go", "build", "-p", str(os.cpu_count() or 2), *flags, *packages]
        done = subprocess.run(
            command,
            cwd=_SOURCE,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode:
        raise ClusterError(f"the build failed ({log}):\n{log.read_text()[-1500:]}")


def _version_flags() -> str:
    """What the parts say of their version, as upstream's own build sets it."""
    version = run("sed", "-n", r"s/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p", str(_SOURCE / "go.mod")).strip()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
