"""Which packages of the operating system hold the libraries that a process had loaded (Debian's, Alpine's, rpm's)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from launch_jobs.capture.process import answer_of

_RPM_DATABASES = ("usr/lib/sysimage/rpm", "var/lib/rpm")
_RPM_FORMAT = "%{NAME}=%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n"
_RPM_LINE = re.compile(r"[^\s=]+=[^\s=]+")


def system_packages(libraries: Iterable[str], root: Path = Path("/")) -> tuple[str, ...]:
    """`name=version` of the packages that hold some files, sorted; of files that no package has, nothing.

    Args:
        libraries: absolute paths.
        root: of the system, another one for tests.
    """
    wanted = {name for path in libraries for name in _names(path, root)}
    if not wanted:
        return ()
    found = {*_debian(wanted, root / "var/lib/dpkg"), *_alpine(wanted, root / "lib/apk/db/installed")}
    return tuple(sorted(found or {*_rpm(wanted, root)}))


def _names(path: str, root: Path) -> Iterator[str]:
    """A file under all names that a package may know it by: since `/lib` is a link to `/usr/lib`, there are two."""
    real = os.path.realpath(root / path.lstrip("/"))
    within = f"/{os.path.relpath(real, os.path.realpath(root))}"
    for one in {path, within}:
        yield one
        yield one.removeprefix("/usr") if one.startswith("/usr/lib") else f"/usr{one}"


def _debian(wanted: set[str], database: Path) -> Iterator[str]:
    owners: set[str] = set()
    for file in (database / "info").glob("*.list"):
        if not wanted.isdisjoint(_lines(file)):
            owners.add(file.stem.partition(":")[0])
    name = ""
    for line in _lines(database / "status") if owners else ():
        if line.startswith("Package: "):
            name = line[9:]
        elif line.startswith("Version: ") and name in owners:
            yield f"{name}={line[9:]}"


def _alpine(wanted: set[str], database: Path) -> Iterator[str]:
    """Of one file: P package, V version, F folder, R file in it."""
    package = version = folder = ""
    for line in _lines(database):
        kind, _, value = line.partition(":")
        if kind == "P":
            package = value
        elif kind == "V":
            version = value
        elif kind == "F":
            folder = value
        elif kind == "R" and f"/{folder}/{value}" in wanted:
            yield f"{package}={version}"


def _rpm(wanted: set[str], root: Path) -> Iterator[str]:
    """Asked of rpm itself, whose database has had three formats so far."""
    database = next((folder for one in _RPM_DATABASES if (folder := root / one).is_dir()), None)
    if database is None:
        return
    said = answer_of(["rpm", f"--dbpath={database}", "-qf", "--queryformat", _RPM_FORMAT, *sorted(wanted)])
    yield from (line for line in said.splitlines() if _RPM_LINE.fullmatch(line))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
