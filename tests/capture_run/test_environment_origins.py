"""What only this machine has is carried, what an index has is bound to it, and a lock is believed where it agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.capture.carried import Carrier, compiled_modules
from launch_jobs.capture.environment import Evidence, environment_of
from launch_jobs.capture.host import this_host
from launch_jobs.capture.indexes import Indexes, read_indexes
from launch_jobs.capture.locks import compare, read_lock
from launch_jobs.capture.probed import Installed, Probe, probe_interpreter
from launch_jobs.capture.remarks import remarks
from launch_jobs.capture.system_packages import system_packages
from launch_jobs.job import Distribution, Environment

HASH = "sha256:" + "a" * 64
SETUP = """
from setuptools import setup
setup(name="Out-Lib", version="1.2", packages=["out_lib"], package_dir={"": "src"}, package_data={"out_lib": ["*.txt"]},
      entry_points={"console_scripts": ["out-hello=out_lib:hello"]})
"""
MODULE = """
from pathlib import Path
def hello(): print(Path(__file__).with_name("data.txt").read_text())
"""


def uv(*arguments: str | Path) -> None:
    """Run uv."""
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    subprocess.run([sys.executable, "-m", "uv", "-q", *map(str, arguments)], check=True, env=environment)


def make_package(folder: Path) -> Path:
    """The source of a package with data and a console script."""
    (folder / "src/out_lib").mkdir(parents=True)
    (folder / "setup.py").write_text(SETUP)
    (folder / "src/out_lib/__init__.py").write_text(MODULE)
    (folder / "src/out_lib/data.txt").write_text("data")
    return folder


def installed_in(venv: Path, *arguments: str | Path) -> tuple[Installed, Probe]:
    """Install the package into a new virtual environment, and ask that what it has."""
    uv("venv", "--python", sys.executable, venv)
    uv("pip", "install", "--python", venv / "bin/python", *arguments)
    probe = probe_interpreter(str(venv / "bin/python"), (), dict(os.environ))
    return next(one for one in probe.distributions if one.name.lower() == "out-lib"), probe


@pytest.mark.parametrize("editable", [True, False], ids=["editable", "installed"])
def test_a_package_from_elsewhere_runs_from_its_wheel(tmp_path: Path, editable: bool) -> None:
    """Modules, data and scripts are there in another environment; an installed one needs its source no more."""
    source = make_package(tmp_path / "elsewhere")
    one, probe = installed_in(tmp_path / "here", *(["-e"] if editable else []), source)
    if not editable:
        source.rename(tmp_path / "gone")

    wheel = Carrier(probe.markers, tmp_path).pack(one, source)

    (tmp_path / "gone").mkdir(exist_ok=True)
    uv("venv", "--python", sys.executable, tmp_path / "there")
    uv("pip", "install", "--python", tmp_path / "there/bin/python", "--no-deps", wheel)
    source.rename(tmp_path / "moved") if editable else None
    said = subprocess.run([tmp_path / "there/bin/out-hello"], capture_output=True, text=True, check=True)
    assert said.stdout == "data\n"
    assert wheel.name == "out_lib-1.2-py3-none-any.whl"


def test_the_same_files_are_the_same_wheel(tmp_path: Path) -> None:
    """Packing twice gives the same bytes, so capturing twice gives the same version."""
    source = make_package(tmp_path / "elsewhere")
    one, probe = installed_in(tmp_path / "here", "-e", source)
    for name in "ab":
        (tmp_path / name).mkdir()
    first, second = (Carrier(probe.markers, tmp_path / name).pack(one, source).read_bytes() for name in "ab")

    assert first == second


def test_compiled_modules_count_though_git_ignores_them(tmp_path: Path) -> None:
    """What a build left beside the source is part of what ran, and makes the wheel one for this platform."""
    source = make_package(tmp_path / "elsewhere")
    one, probe = installed_in(tmp_path / "here", "-e", source)
    (source / ".gitignore").write_text("*.so\n")
    (source / "src/out_lib/fast.so").write_bytes(b"\x7fELF")

    wheel = Carrier(probe.markers, tmp_path).pack(one, source)

    assert compiled_modules(source) == {"src/out_lib/fast.so"}
    assert wheel.name.endswith(f"{probe.markers['sys_platform']}_{probe.markers['platform_machine']}.whl")


def test_broken_packages_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    """Bad JSON, no name, what pip's removal left, no RECORD: each is named or harmless, the others count."""
    metadata = "Metadata-Version: 2.1\nName: {0}\nVersion: 1.0\n"
    for name in ("good", "bad", "~est"):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(metadata.format(name.replace("~", "r")))
    (tmp_path / "bad-1.0.dist-info/direct_url.json").write_text("{")
    (tmp_path / "nameless-1.0.dist-info").mkdir()

    probe = probe_interpreter(sys.executable, (), dict(os.environ), [str(tmp_path)])

    assert [one.name for one in probe.distributions] == ["good"]
    assert sorted(text.split("-")[0] for text in probe.problems) == ["bad", "nameless", "~est"]


def probe_of(*installed: Installed, prefix: str = "/v") -> Probe:
    """What an interpreter says."""
    facts = {"python": "3.11.7", "implementation": "cpython", "system": "Linux", "machine": "x86_64"}
    return Probe.model_validate(
        {**facts, "prefix": prefix, "executable": "", "markers": {}, "distributions": installed}
    )


def test_what_an_index_may_not_have_is_said(tmp_path: Path) -> None:
    """Doubled names, the system's own packages, odd versions and conda's libraries are named in notes."""
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/mkl.json").write_text(json.dumps({"name": "mkl", "version": "2024.1"}))
    found = (
        Installed(name="a", version="1", location="/usr/lib/python3/dist-packages"),
        Installed(name="A", version="2", location="/x"),
        Installed(name="b", version="1-2ubuntu3x", location="/x", installer="conda"),
    )
    environment = Environment(distributions=tuple(Distribution(name=name, version="1") for name in "ab"))

    said = " ".join(remarks(probe_of(*found, prefix=str(tmp_path)), environment))

    for words in ("a (1 and 2)", "brought them: a 1", "has: b 1-2ubuntu3x", "mkl 2024.1", "by conda, taken", ": b."):
        assert words in said


def test_a_conda_package_is_not_a_local_one() -> None:
    """conda writes the folder of its own build machine as the origin; it is no reason to refuse."""
    built: dict[str, object] = {"url": "file:///home/conda/feedstock_root/work", "dir_info": {}}
    one = Installed.model_validate(
        {"name": "a", "version": "1", "location": "/v", "modules": ["a"], "installer": "conda", "direct_url": built}
    )

    environment = environment_of(probe_of(one), Evidence(Path("/w"), (), {"a": None}))

    assert environment.distributions == (Distribution(name="a", version="1"),)


@pytest.mark.parametrize(
    ("name", "version", "index"),
    [
        ("torch", "2.4.0+cpu", "https://download.pytorch.org/whl/cpu"),
        ("torch", "2.4.0+cu124", "https://mirror.org/whl/cu124"),
        ("torch", "2.4.0", None),
        ("own", "1+abc", None),
        ("bound", "1", "https://private.org/simple"),
    ],
)
def test_the_index_of_a_distribution(name: str, version: str, index: str | None) -> None:
    """A local version keeps its index, a bound name its own; the rest is PyPI's."""
    indexes = Indexes(extra=["https://mirror.org/whl/cu124"], bound={"bound": "https://me:tok@private.org/simple/"})

    assert indexes.of(name, version) == index
    assert "tok" not in " ".join(indexes.notes())


def test_indexes_are_read_where_pip_and_uv_read_them() -> None:
    """pyproject's sources, requirements' options, and the variables; the project's come first."""
    pyproject = b"""[[tool.uv.index]]
name = "mine"
url = "https://mine.org/simple"
explicit = true
[tool.uv.sources]
Own_Lib = { index = "mine" }
"""
    files = {"pyproject.toml": pyproject, "requirements.txt": b"--extra-index-url https://extra.org/simple\nsix\n"}

    found = read_indexes(files, files.__getitem__, ".", {"UV_DEFAULT_INDEX": "main=https://d.org/simple"})

    assert found.of("own-lib", "1") == "https://mine.org/simple"
    assert found.of("six", "1", "uv") == "https://d.org/simple"
    assert found.of("six", "1", "pip") is None
    assert "https://extra.org/simple" in " ".join(found.notes())


LOCKS = {
    "uv.lock": f'[[package]]\nname = "six"\nversion = "1.16"\nsource = {{ registry = "https://i.org/simple" }}\n'
    f'wheels = [{{ url = "u", hash = "{HASH}" }}]\n',
    "poetry.lock": f'[[package]]\nname = "six"\nversion = "1.16"\nfiles = [{{file = "f", hash = "{HASH}"}}]\n',
    "pylock.toml": '[[packages]]\nname = "six"\nversion = "1.16"\n'
    f'wheels = [{{ hashes = {{ sha256 = "{"a" * 64}" }} }}]\n',
    "requirements.txt": f"six==1.16 \\\n    --hash={HASH}\n",
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_agrees_gives_its_hashes(name: str) -> None:
    """Same version: the lock's hashes count; another one: what ran counts, and the difference is said."""
    lock = read_lock({name: None}, lambda _: LOCKS[name].encode(), ".")
    assert lock is not None

    (same,), notes = compare([Distribution(name="six", version="1.16.0")], lock)
    (other,), said = compare([Distribution(name="six", version="1.17.0")], lock)

    assert (same.hashes, notes) == ((HASH,), ())
    assert same.index == ("https://i.org/simple" if name == "uv.lock" else None)
    assert other.hashes == ()
    assert "six 1.17.0 (locked: 1.16)" in said[0]


def test_pins_of_a_conda_file_are_compared() -> None:
    """environment.yml locks by exact versions, in conda's part and in pip's."""
    text = b"dependencies:\n  - numpy=1.26.4\n  - scipy>=1\n  - pip:\n    - six==1.16\n"
    lock = read_lock({"environment.yml": None}, lambda _: text, ".")

    assert lock is not None
    assert {(one.name, one.version) for one in lock.packages} == {("numpy", "1.26.4"), ("six", "1.16")}


@pytest.mark.parametrize("name", [*LOCKS, "environment.yml"])
def test_a_lock_that_cannot_be_read_is_none(name: str) -> None:
    """Whatever lies there, capture goes on."""
    for text in (b"\xff\x00", b"[[package]]\nx = 1\n", b"package = 3\n", b"dependencies: 3\n", b"- a\n"):
        assert read_lock({name: None}, lambda _, text=text: text, ".") is None


def test_gpus_are_told_with_their_driver(tmp_path: Path) -> None:
    """As NVIDIA's kernel module says it, the open one too."""
    (tmp_path / "gpus/0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus/0000:01:00.0/information").write_text("Model: \t NVIDIA A100\nIRQ: 3\n")
    words = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build\nGCC version: 12.2.0\n"
    (tmp_path / "version").write_text(words)

    assert this_host(tmp_path).gpus == ("NVIDIA A100, driver 535.104.05",)
    assert this_host(tmp_path / "none").gpus == ()


def test_libraries_are_mapped_to_their_packages(tmp_path: Path) -> None:
    """Debian's and Alpine's databases are read; `/lib` and `/usr/lib` are one."""
    database = tmp_path / "var/lib/dpkg"
    (database / "info").mkdir(parents=True)
    (database / "info/libgomp1:amd64.list").write_text("/.\n/usr/lib/x/libgomp.so.1\n")
    (database / "info/other.list").write_text("/usr/lib/x/other.so\n")
    (database / "status").write_text("Package: libgomp1\nStatus: ok\nVersion: 12.2-14\n\nPackage: other\nVersion: 1\n")
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    (tmp_path / "lib/apk/db/installed").write_text("P:musl\nV:1.2\nF:lib\nR:ld.so\n\nP:x\nV:9\nF:lib\nR:x.so\n")

    assert system_packages(["/lib/x/libgomp.so.1", "/lib/ld.so", "/opt/own.so"], tmp_path) == (
        "libgomp1=12.2-14",
        "musl=1.2",
    )
