"""Resolved again with several indexes: each package from its own, accelerator builds too, and never a stranger's."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from launch_jobs.build.accelerator import accelerator_notes
from launch_jobs.build.resolution import Resolution, Resolver, resolve_for
from launch_jobs.job import Distribution, Environment

INTEL, ARM, MAC, ANY = (
    f"cp311-cp311-{system}" if system else "py3-none-any"
    for system in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "macosx_11_0_arm64", "")
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def put(index: Path, name: str, version: str, tag: str, *requires: str) -> None:
    """A wheel without any module."""
    folder, short = index / name, name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = "".join(f"Requires-Dist: {one}\n" for one in requires)
    with zipfile.ZipFile(folder / f"{short}-{version}-{tag}.whl", "w") as wheel:
        inside = f"{short}-{version}.dist-info"
        wheel.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}\n")
        wheel.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{inside}/RECORD", "")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of three: `public`, the accelerator's `cu124`, and `private`."""
    root = tmp_path_factory.mktemp("indexes")
    for tag in (INTEL, ARM):
        put(root / "public", "torch", "2.4.0", tag, "six")
    put(root / "public", "six", "1.17.0", ANY)
    put(root / "public", "corp-lib", "9.9", ANY)
    put(root / "cu124", "torch", "2.4.0+cu124", INTEL, "six")
    put(root / "cu124", "torchvision", "0.19.0+cu124", INTEL, "torch==2.4.0+cu124")
    put(root / "cu124", "six", "1.10.0", ANY)
    put(root / "private", "corp-lib", "1.0", MAC)
    put(root / "private", "corp-base", "1.0", ANY, "six")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def resolved(indexes: str, captured: str, wanted: str, **pins: str) -> Resolution:
    """Pins such as `torch="2.4.0+cu124 cu124"`: version and index."""
    found = [(name.replace("_", "-"), *text.partition(" ")[::2]) for name, text in pins.items()]
    environment = Environment(
        python="3.11.9",
        platform=captured,
        distributions=tuple(
            Distribution(name=name, version=version, index=f"{indexes}/{index}" if index else None)
            for name, version, index in found
        ),
    )
    variables = {**os.environ, "UV_DEFAULT_INDEX": f"{indexes}/public", "UV_NO_CACHE": "1"}
    return asyncio.run(resolve_for(environment, wanted, Resolver((sys.executable, "-m", "uv"), variables, None)))


def versions(found: Resolution) -> dict[str, str]:
    """By name."""
    return {one.name: one.version for one in found.environment.distributions}


def test_a_cuda_build_keeps_its_index(indexes: str) -> None:
    """Where the platform has it, and what is beside it there is taken from the public index all the same."""
    pins = {"torch": "2.4.0+cu124 cu124", "torchvision": "0.19.0+cu124 cu124", "six": "1.17.0"}
    found = resolved(indexes, "windows/amd64", "linux/amd64", **pins)

    assert versions(found) == {"torch": "2.4.0+cu124", "torchvision": "0.19.0+cu124", "six": "1.17.0"}
    assert {one.name for one in found.environment.distributions if one.index == f"{indexes}/cu124"} == {
        "torch",
        "torchvision",
    }


def test_a_cuda_build_that_a_platform_has_not_becomes_the_plain_one(indexes: str) -> None:
    """And the plan says so."""
    found = resolved(indexes, "linux/amd64", "linux/arm64", torch="2.4.0+cu124 cu124", six="1.17.0")

    assert versions(found) == {"torch": "2.4.0", "six": "1.17.0"}
    assert "Changed: torch 2.4.0+cu124 → 2.4.0." in found.changes


def test_a_strangers_package_never_stands_in(indexes: str) -> None:
    """The private package is for Macs only; the public index has another of the same name."""
    found = resolved(indexes, "darwin/arm64", "linux/amd64", corp_lib="1.0 private", corp_base="1.0 private")

    assert versions(found) == {"corp-base": "1.0", "six": "1.17.0"}
    assert any(line.startswith("Dropped: corp-lib 1.0") for line in found.changes)


def test_on_the_same_platform_accelerator_builds_stay_and_are_said() -> None:
    """A CUDA build is imported without a GPU too: to drop it would break what ran."""
    pins = {"torch": "2.4.0+cu124", "nvidia-cublas-cu12": "12.4.2.65", "numpy": "2.3.4"}
    found = tuple(Distribution(name=name, version=version) for name, version in pins.items())

    assert accelerator_notes(Environment(python="3.11.9", distributions=found)) == (
        "Built for a GPU, and kept as captured, for it is imported without one too: "
        "nvidia-cublas-cu12 12.4.2.65, torch 2.4.0+cu124.",
    )
    cpu = (Distribution(name="torch", version="2.4.0+cpu"),)
    assert accelerator_notes(Environment(python="3.11.9", distributions=cpu)) == (
        "Built without GPU support, and kept as captured: torch 2.4.0+cpu will use no GPU.",
    )
