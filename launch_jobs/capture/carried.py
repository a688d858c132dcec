"""A distribution that no index has (a local wheel, a folder elsewhere on this machine), packed again as a wheel.

What is packed is what ran: the installed files, or the folder that an editable install points to.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from launch_jobs.capture.ignore import IgnoreRules
from launch_jobs.capture.probed import Installed
from launch_jobs.capture.tree import walk
from launch_jobs.errors import CaptureError

LIMIT_BYTES = 512 << 20
"""Most bytes of one such distribution."""

_NOT_IN_WHEELS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"}
_COMPILED = (".so", ".pyd")
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Carrier:
    """Packs distributions of one interpreter.

    Attributes:
        markers: the interpreter's environment markers, which say what its compiled modules run on.
        folder: where wheels are written.
    """

    markers: Mapping[str, str]
    folder: Path

    def pack(self, one: Installed, source: Path) -> Path:
        """Write a wheel of a distribution that was installed from a file or folder; its path.

        Raises:
            CaptureError: its files are gone, too large, or not those of a wheel.
        """
        try:
            if source.suffix == ".whl" and _is_as_installed(one, source):
                return Path(shutil.copy(source, self.folder / source.name))
            files = dict(_metadata(one))
            files |= self._linked(one, source) if is_editable(one) else dict(_installed(one))
            return _Wheel(one, files, self._platform_tag()).write(self.folder)
        except OSError as error:
            raise CaptureError(
                f"{one.name} {one.version} was installed from {source}, and cannot be carried: {error}",
                do="Install it from an index or a repository",
            ) from error

    def _linked(self, one: Installed, source: Path) -> dict[str, Path | bytes]:
        """The folder of an editable install, below a name of its own, and the line that puts it on the path."""
        if not source.is_dir():
            raise CaptureError(f"{one.name} {one.version} was installed from {source}, which is gone")
        name = f"_launch_{_escaped(one.name)}"
        files: dict[str, Path | bytes] = {f"{name}/{path}": source / path for path in _working_files(source)}
        return {**files, f"{name}.pth": f"{name}/src\n{name}\n".encode()}

    def _platform_tag(self) -> str:
        python = "cp" + self.markers.get("python_version", "").replace(".", "")
        system = re.sub(r"\W", "_", f"{self.markers.get('sys_platform')}_{self.markers.get('platform_machine')}")
        return f"{python}-{python}-{system}"


def compiled_modules(folder: Path) -> set[str]:
    """Compiled modules in a folder, those that git ignores included, relative to it."""
    return {path for path in _working_files(folder) if path.endswith(_COMPILED)}


def is_editable(one: Installed) -> bool:
    """Whether an installed distribution is only a pointer to its folder."""
    information = (one.direct_url or {}).get("dir_info")
    return isinstance(information, dict) and bool(information.get("editable"))


def _working_files(folder: Path) -> Iterator[str]:
    """A folder's source, and what was compiled in it."""
    rules = IgnoreRules(folder)

    def keep(path: str, is_folder: bool) -> bool:
        built = path.endswith(_COMPILED) and not is_folder
        return built or (rules.keep(path, is_folder) and not path.endswith(".egg-info"))

    return walk(folder, keep)


@dataclass(frozen=True, slots=True)
class _Wheel:
    one: Installed
    files: Mapping[str, Path | bytes]
    platform_tag: str
    rows: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])

    def write(self, folder: Path) -> Path:
        """Sorted, without times, uncompressed: the same files are the same bytes, on any machine."""
        self._check_size()
        tags = self._tags()
        metadata = f"{_escaped(self.one.name)}-{self.one.version}"
        wheel = folder / f"{metadata}-{_compressed(tags)}.whl"
        text = "Wheel-Version: 1.0\nGenerator: launch-jobs\nRoot-Is-Purelib: true\n"
        text += "".join(f"Tag: {tag}\n" for tag in tags)
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in sorted({**self.files, f"{metadata}.dist-info/WHEEL": text.encode()}.items()):
                self._add(archive, path, content)
            record = io.StringIO()
            csv.writer(record, lineterminator="\n").writerows([*self.rows, (f"{metadata}.dist-info/RECORD", "", "")])
            archive.writestr(zipfile.ZipInfo(f"{metadata}.dist-info/RECORD", _TIME), record.getvalue())
        return wheel

    def _add(self, archive: zipfile.ZipFile, path: str, content: Path | bytes) -> None:
        data = content if isinstance(content, bytes) else content.read_bytes()
        entry = zipfile.ZipInfo(path, _TIME)
        executable = isinstance(content, Path) and content.stat().st_mode & 0o100
        entry.external_attr = (0o100755 if executable else 0o100644) << 16
        archive.writestr(entry, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.rows.append((path, f"sha256={digest}", len(data)))

    def _tags(self) -> list[str]:
        """What it runs on: as its installed form says; where an editable one has compiled modules, only here."""
        if is_editable(self.one):
            return [self.platform_tag if any(path.endswith(_COMPILED) for path in self.files) else "py3-none-any"]
        lines = (Path(self.one.location) / self.one.metadata / "WHEEL").read_text(errors="replace").splitlines()
        return [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")] or ["py3-none-any"]

    def _check_size(self) -> None:
        size = sum(len(each) if isinstance(each, bytes) else each.stat().st_size for each in self.files.values())
        if size > LIMIT_BYTES:
            raise CaptureError(
                f"{self.one.name} {self.one.version} has {size:,} bytes, more than the {LIMIT_BYTES:,} that a job "
                "carries of a package",
                do="Install it from an index or a repository",
            )


def _metadata(one: Installed) -> Iterator[tuple[str, Path | bytes]]:
    folder = Path(one.location) / one.metadata
    if folder.suffix != ".dist-info":
        raise CaptureError(
            f"{one.name} {one.version} was installed in an old way ({one.metadata}) and cannot be carried",
            do="Install it again with a current pip or uv",
        )
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in {*_NOT_IN_WHEELS, "WHEEL"}:
            own = f"{_escaped(one.name)}-{one.version}.dist-info"
            yield f"{own}/{file.relative_to(folder).as_posix()}", file


def _installed(one: Installed) -> Iterator[tuple[str, Path | bytes]]:
    """Files that the installer recorded, under the names that they have in a wheel; scripts of entry points are not."""
    site = Path(one.location)
    made = _console_scripts(site / one.metadata / "entry_points.txt")
    data = f"{_escaped(one.name)}-{one.version}.data"
    for path, *_ in csv.reader((site / one.metadata / "RECORD").read_text().splitlines()):
        parts = PurePosixPath(path).parts
        if parts[0] == one.metadata or path.endswith(".pyc"):
            continue
        if parts[0] != "..":
            yield path, site / path
        elif parts[-2] not in ("bin", "Scripts"):
            yield f"{data}/data/{'/'.join(part for part in parts if part != '..')}", site / path
        elif PurePosixPath(path).stem not in made:
            yield f"{data}/scripts/{parts[-1]}", site / path


def _console_scripts(file: Path) -> set[str]:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]  typeshed's own example
    try:
        parser.read(file)
    except Error:
        return set()
    return {name for group in ("console_scripts", "gui_scripts") if group in parser for name in parser[group]}


def _is_as_installed(one: Installed, wheel: Path) -> bool:
    """Whether a wheel is still the file that was installed, as far as the installer wrote its hash."""
    if not wheel.is_file():
        return False
    archive = (one.direct_url or {}).get("archive_info")
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    known = hashes.get("sha256") if isinstance(hashes, dict) else None
    return known == hashlib.sha256(wheel.read_bytes()).hexdigest()


def _compressed(tags: list[str]) -> str:
    columns = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(column)) for column in columns)


def _escaped(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
