"""Libraries of a system whose packages are rpm's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from infrastructure.plugin import missing

from launch_jobs.capture.system_packages import system_packages


@pytest.fixture(autouse=True)
def tools() -> None:
    """rpm and rpmbuild are here."""
    if shutil.which("rpmbuild") is None:
        missing("rpm (apt-get install rpm)")


SPEC = """
Name: {name}
Version: 2.3
Release: 4
{more}
Summary: a library
License: MIT
BuildArch: noarch
%description
A library.
%install
mkdir -p %{{buildroot}}/usr/lib64
echo x > %{{buildroot}}/usr/lib64/{name}.so.1
%files
/usr/lib64/{name}.so.1
"""


def rpm(*arguments: str | Path) -> None:
    """Run rpm or rpmbuild."""
    subprocess.run(list(map(str, arguments)), check=True, capture_output=True, timeout=60)


def package(folder: Path, name: str, more: str = "") -> Path:
    """A package with one library."""
    (folder / f"{name}.spec").write_text(SPEC.format(name=name, more=more))
    rpm("rpmbuild", "-bb", "--define", f"_topdir {folder}/build", folder / f"{name}.spec")
    return next((folder / "build" / "RPMS").rglob(f"{name}-*.rpm"))


@pytest.mark.parametrize("place", ["usr/lib/sysimage/rpm", "var/lib/rpm"])
def test_rpm_is_asked_whose_a_library_is(tmp_path: Path, place: str) -> None:
    """Name, epoch where there is one, version and release; what is no package's is left out."""
    root = tmp_path / "root"
    (root / place).mkdir(parents=True)
    files = [package(tmp_path, "libgapsone", "Epoch: 1"), package(tmp_path, "libgapstwo")]
    rpm("rpm", f"--dbpath={root / place}", "-i", "--justdb", "--nodeps", "--ignorearch", *files)

    libraries = ["/lib64/libgapsone.so.1", "/usr/lib64/libgapstwo.so.1", "/opt/own.so"]
    assert system_packages(libraries, root) == ("libgapsone=1:2.3-4", "libgapstwo=2.3-4")


def test_a_database_that_is_none_says_nothing(tmp_path: Path) -> None:
    """Capture goes on."""
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").write_bytes(b"no database")
    assert system_packages(["/usr/lib64/libgapsone.so.1"], tmp_path) == ()
