"""Which package index a distribution came from, as far as the configuration of pip, uv and the project tells."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launch_jobs.capture.origin import without_credentials

Table = dict[str, object]
Read = Callable[[str], bytes]

_PYPI = {"pypi.org", "pypi.python.org", "files.pythonhosted.org"}
_ACCELERATOR = re.compile(r"cpu|cu[0-9]+|rocm[0-9.]+|xpu")
_PYTORCH = "https://download.pytorch.org/whl/"
_PYTORCH_FAMILY = ("torch", "pytorch-", "torch-", "triton")
_NAMED = re.compile(r"^[\w.-]+=(?=[a-z]+:)")
"""uv's way to name an index in a variable."""

_OPTION = re.compile(r"^(--index-url|-i|--extra-index-url)[ =]\s*(\S+)")


@dataclass
class Indexes:
    """What is known of indexes.

    Attributes:
        default: by installer (`pip`, `uv`, `` for any): the index that stands in PyPI's place.
        extra: further ones; which distribution came from them, nobody wrote down.
        bound: index by distribution.
    """

    default: dict[str, str] = field(default_factory=dict[str, str])
    extra: list[str] = field(default_factory=list[str])
    bound: dict[str, str] = field(default_factory=dict[str, str])

    def of(self, name: str, version: str, installer: str = "") -> str | None:
        """The URL, without credentials, of the index that has a distribution; None: PyPI, or not known."""
        found = self.bound.get(name) or self._variant(name, version)
        return plain(found or self.default.get(installer) or self.default.get("") or "")

    def notes(self) -> Iterator[str]:
        """What a launch elsewhere must be told."""
        extra = [url for one in dict.fromkeys(self.extra) if (url := plain(one))]
        open_ones = [url for url in extra if not _ACCELERATOR.fullmatch(_last(url))]
        if open_ones:
            yield f"Which packages came from {', '.join(open_ones)} was not recorded by their installer or a lock file."
        every = {*self.default.values(), *self.extra, *self.bound.values()}
        for url in sorted(one for one in every if plain(one) not in (None, one.rstrip("/"))):
            yield f"{plain(url)} was used with credentials, which are not in the job: a queue needs its own."

    def _variant(self, name: str, version: str) -> str | None:
        """The index of a local version such as `2.4.0+cu124`: the one named so, else PyTorch's own."""
        try:
            local = Version(version).local
        except InvalidVersion:
            return None
        if not local:
            return None
        named = next((url for url in self.extra if _last(url) == local), None)
        family = name.startswith(_PYTORCH_FAMILY) and _ACCELERATOR.fullmatch(local)
        return named or (f"{_PYTORCH}{local}" if family else None)


def plain(url: str) -> str | None:
    """An index's URL without credentials; None for PyPI, and for what is no URL."""
    host = urlsplit(url).hostname
    return None if not host or host in _PYPI else without_credentials(url).rstrip("/")


def read_indexes(files: Iterable[str], read: Read, folder: str, environment: Mapping[str, str]) -> Indexes:
    """Gather the project's, the user's and the machine's configuration; the project's comes first.

    Args:
        files: of the source tree.
        read: gives the content of one.
        folder: of the project.
        environment: variables of the program.
    """
    found = Indexes()
    _from_machine(found, environment)
    there = {path.name: str(path) for path in map(PurePosixPath, files) if str(path.parent) == folder}
    for name, path in sorted(there.items()):
        if fnmatch(name, "requirements*.txt"):
            _from_requirements(found, read(path).decode(errors="replace"))
    if "uv.toml" in there:
        _from_uv(found, _toml(read(there["uv.toml"])))
    tool = _table(_toml(read(there["pyproject.toml"])), "tool") if "pyproject.toml" in there else {}
    _from_uv(found, _table(tool, "uv"))
    _from_poetry(found, _table(tool, "poetry"))
    return found


def _from_machine(found: Indexes, environment: Mapping[str, str]) -> None:
    home = Path(environment.get("HOME", "/nonexistent"))
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    pip = [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    pip += [Path(environment[name]) for name in ("PIP_CONFIG_FILE",) if environment.get(name)]
    pip += [Path(environment[name]) / "pip.conf" for name in ("VIRTUAL_ENV",) if environment.get(name)]
    for file in pip:
        _from_pip(found, file)
    for file in (Path("/etc/uv/uv.toml"), config / "uv/uv.toml"):
        _from_uv(found, _toml(_content(file)))
    for kind, name in (("pip", "PIP_INDEX_URL"), ("uv", "UV_INDEX_URL"), ("uv", "UV_DEFAULT_INDEX")):
        if url := _NAMED.sub("", environment.get(name, "")):
            found.default[kind] = url
    for name in ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX"):
        found.extra += [_NAMED.sub("", word) for word in environment.get(name, "").split()]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _from_pip(found: Indexes, file: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_content(file).decode(errors="replace"))
    except configparser.Error:
        return
    for section in ("global", "install"):
        if url := parser.get(section, "index-url", fallback=""):
            found.default["pip"] = url.strip()
        found.extra += parser.get(section, "extra-index-url", fallback="").split()


def _from_requirements(found: Indexes, text: str) -> None:
    for line in text.splitlines():
        if match := _OPTION.match(line.strip()):
            if match[1] == "--extra-index-url":
                found.extra.append(match[2])
            else:
                found.default[""] = match[2]


def _from_uv(found: Indexes, table: Table) -> None:
    for old in (table, _table(table, "pip")):
        if isinstance(old.get("index-url"), str):
            found.default["uv"] = str(old["index-url"])
        found.extra += [str(url) for url in _list(old, "extra-index-url")]
    named: dict[str, str] = {}
    for index in _tables(table, "index"):
        url = str(index.get("url", ""))
        named[str(index.get("name", ""))] = url
        if index.get("default"):
            found.default["uv"] = url
        elif not index.get("explicit"):
            found.extra.append(url)
    for name in _table(table, "sources"):
        sources = [_table(_table(table, "sources"), name), *_tables(_table(table, "sources"), name)]
        urls = {named[index] for one in sources if (index := str(one.get("index"))) in named}
        # Of several (by platform) only the lock file knows which one counted.
        if len(urls) == 1:
            found.bound[canonicalize_name(name)] = urls.pop()


def _from_poetry(found: Indexes, table: Table) -> None:
    named = {str(one.get("name")): str(one.get("url", "")) for one in _tables(table, "source")}
    for one in _tables(table, "source"):
        if one.get("url") and (one.get("default") or one.get("priority") in ("default", "primary")):
            found.default.setdefault("pip", str(one["url"]))
    for name in _table(table, "dependencies"):
        source = str(_table(_table(table, "dependencies"), name).get("source"))
        if source in named:
            found.bound[canonicalize_name(name)] = named[source]


def _last(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def _toml(content: bytes) -> Table:
    try:
        return tomllib.loads(content.decode(errors="replace"))
    except tomllib.TOMLDecodeError:
        return {}


def _table(table: Table, name: str) -> Table:
    found = table.get(name)
    return cast("Table", found) if isinstance(found, dict) else {}


def _tables(table: Table, name: str) -> list[Table]:
    return [cast("Table", one) for one in _list(table, name) if isinstance(one, dict)]


def _list(table: Table, name: str) -> list[object]:
    found = table.get(name)
    return cast("list[object]", found) if isinstance(found, list) else []
