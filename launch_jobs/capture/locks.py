"""A project's own lock file: read as data, and compared with what ran."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launch_jobs.capture.indexes import plain
from launch_jobs.job import Distribution

Read = Callable[[str], bytes]
Table = dict[str, object]

_SHOWN = 20
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_CONDA_PIN = re.compile(r"(?:[\w-]+::)?([A-Za-z0-9_.-]+)\s*={1,2}\s*([0-9][^=*\s]*)(?:=\S*)?$")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock file.

    Attributes:
        name: normalised.
        version: as written.
        hashes: `sha256:…` of all its files.
        index: URL of its index, where the lock names one.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    index: str | None = None


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file: its path in the source tree, and its packages (a name may have several versions, by platform)."""

    path: str
    packages: tuple[Locked, ...]


def read_lock(files: Iterable[str], read: Read, folder: str) -> LockFile | None:
    """The project's lock file: the first kind that there is, in its folder or the nearest one above.

    A file that cannot be understood is none.
    """
    there = sorted(map(PurePosixPath, files))
    start = PurePosixPath(folder)
    for place in (start, *start.parents):
        names = [path.name for path in there if path.parent == place]
        for pattern, parse in _KINDS:
            for name in filter(pattern.fullmatch, names):
                path = str(place / name)
                if packages := tuple(_parsed(parse, read(path))):
                    return LockFile(path, packages)
    return None


def compare(found: Iterable[Distribution], lock: LockFile) -> tuple[tuple[Distribution, ...], tuple[str, ...]]:
    """The distributions with hashes and indexes of the lock where it agrees with what ran; notes where not."""
    known: dict[str, list[Locked]] = {}
    for one in lock.packages:
        known.setdefault(one.name, []).append(one)
    result: list[Distribution] = []
    other: list[str] = []
    missing: list[str] = []
    for one in found:
        fit = next((each for each in known.get(one.name, ()) if _same(each.version, one.version)), None)
        result.append(_locked(one, fit) if fit else one)
        if one.name not in known and one.origin not in ("source", "wheel"):
            missing.append(f"{one.name} {one.version}")
        elif fit is None and one.name in known:
            says = " or ".join(each.version for each in known[one.name])
            other.append(f"{one.name} {one.version} (locked: {says})")
    notes = [f"{lock.path} disagrees with what ran, which counts: {_few(other)}."] if other else []
    notes += [f"{lock.path} does not name what ran: {_few(missing)}."] if missing else []
    return tuple(result), tuple(notes)


def _locked(one: Distribution, fit: Locked) -> Distribution:
    if one.origin != "index":
        return one
    return one.model_copy(update={"hashes": fit.hashes, "index": fit.index or one.index})


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _parsed(parse: Callable[[str], Iterator[Locked]], content: bytes) -> list[Locked]:
    try:
        return list(parse(content.decode(errors="replace")))
    except (tomllib.TOMLDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _uv(text: str) -> Iterator[Locked]:
    for one in _tables(tomllib.loads(text), "package"):
        files = [*_tables(one, "wheels"), cast("Table", one.get("sdist") or {})]
        index = cast("Mapping[str, str]", one.get("source") or {}).get("registry")
        if one.get("version"):
            yield _package(one, [file.get("hash") for file in files], index)


def _poetry(text: str) -> Iterator[Locked]:
    document = tomllib.loads(text)
    old = cast("dict[str, list[Table]]", cast("Table", document.get("metadata", {})).get("files", {}))
    for one in _tables(document, "package"):
        files = [*_tables(one, "files"), *old.get(str(one["name"]), [])]
        source = cast("Mapping[str, str]", one.get("source") or {})
        index = source.get("url") if source.get("type") == "legacy" else None
        yield _package(one, [file.get("hash") for file in files], index)


def _pylock(text: str) -> Iterator[Locked]:
    for one in _tables(tomllib.loads(text), "packages"):
        files = [*_tables(one, "wheels"), *(cast("Table", one[kind]) for kind in ("sdist", "archive") if kind in one)]
        hashes = [f"sha256:{cast('Table', file.get('hashes', {})).get('sha256')}" for file in files]
        if one.get("version"):
            yield _package(one, hashes, cast("str | None", one.get("index")))


def _requirements(text: str) -> Iterator[Locked]:
    """Only lines with a hash: without, it is a wish, not a lock."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        hashes = _HASH.findall(line)
        if not hashes or line.lstrip().startswith(("#", "-")):
            continue
        try:
            wanted = Requirement(re.split(r"\s--|\s#", line.strip(), maxsplit=1)[0])
        except InvalidRequirement:
            continue
        exact = [one.version for one in wanted.specifier if one.operator in ("==", "===")]
        for version in exact[:1]:
            yield Locked(canonicalize_name(wanted.name), version, tuple(dict.fromkeys(hashes)))


def _conda(text: str) -> Iterator[Locked]:
    """Pins of conda's and pip's part; only exact ones lock anything."""
    document = cast("Table", yaml.safe_load(text) or {})
    lines: list[str] = []
    for one in cast("list[str | dict[str, list[str]]]", document.get("dependencies", [])):
        lines += [one] if isinstance(one, str) else one.get("pip", [])
    for line in lines:
        if match := _CONDA_PIN.fullmatch(line.split("#")[0].strip()):
            yield Locked(canonicalize_name(match[1]), match[2])


def _package(one: Table, hashes: Iterable[object], index: str | None) -> Locked:
    kept = tuple(dict.fromkeys(each for each in hashes if isinstance(each, str) and _HASH.fullmatch(each)))
    return Locked(canonicalize_name(str(one["name"])), str(one["version"]), kept, plain(index or ""))


def _tables(table: Table, name: str) -> list[Table]:
    return [one for one in cast("list[Table]", table.get(name) or []) if isinstance(one, dict)]  # pyright: ignore[reportUnnecessaryIsInstance]  a file says what it likes


_KINDS = (
    (re.compile(r"uv\.lock"), _uv),
    (re.compile(r"poetry\.lock"), _poetry),
    (re.compile(r"pylock(\.[^.]+)?\.toml"), _pylock),
    (re.compile(r"requirements.*\.txt"), _requirements),
    (re.compile(r"environment\.ya?ml"), _conda),
)
"""In the order of trust: with hashes of all files first."""
