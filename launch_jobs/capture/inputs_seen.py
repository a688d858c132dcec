"""What a tracked run read and wrote beside its source: proposed datasets, weighed, and hashed as far as is quick."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.seen import Seen
from launch_jobs.job import Dataset, SeenData
from launch_jobs.names import Digest, digest_of

MOST = 1000
_BUDGET_BYTES, _BUDGET_S = 256 << 20, 1.0
_SAMPLE = 64 << 10
_FEW = 3
_NOT_DATA = {"site-packages", "dist-packages", "__pycache__", "node_modules", ".git", ".ipynb_checkpoints", ".cache"}
_TOOLS = {".config/matplotlib", ".config/pip", ".local/share/jupyter", ".local/share/uv", ".matplotlib", ".jupyter"}
_CODE = (".py", ".pyc", ".pyi", ".so", ".pth", ".dylib")
_OWN_IO = frozenset({"h5py", "netCDF4", "pyarrow", "polars", "duckdb", "tables", "cv2", "rasterio"})
"""Packages that open files in C, where Python sees nothing."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """What a run read and wrote.

    Attributes:
        read: files and objects that it read and did not write, the largest first.
        written: what it wrote and left.
        notes: what is not told, or could not be seen.
    """

    read: tuple[SeenData, ...] = ()
    written: tuple[SeenData, ...] = ()
    notes: tuple[str, ...] = ()


def propose(seen: Seen, root: Path, source: Collection[str], since_ns: int) -> Proposals:
    """What the processes of a run told of files, without its source, environment, and what is gone by now.

    Args:
        seen: the processes.
        root: the source root.
        source: paths of the source tree.
        since_ns: when the run began; a file that was opened for writing but not changed since was only read.
    """
    prefixes = tuple({one.prefix + os.sep for one in seen.observations if one.prefix})
    opened = {os.path.normpath(path) for one in seen.observations for path in (*one.read, *one.open)}
    changed = {path for one in seen.observations for path in one.written}
    files = {path: found for path in opened | changed if (found := _file(path, prefixes)) is not None}
    written = {path for path in changed & files.keys() if files[path].st_ctime_ns >= since_ns}
    read = {path for path in files.keys() - written if _name(path, root) not in source}
    secrets = sorted(path for path in read | written if denied_kind(path))
    budget = _Budget()
    objects = list(_objects(seen))
    reads = _ordered(read - {*secrets}, files)
    inputs = [*(data for is_input, data in objects if is_input), *(_seen(one, files, root, budget) for one in reads)]
    left = _ordered(written - {*secrets}, files)
    outputs = [
        *(data for is_input, data in objects if not is_input),
        *(_seen(one, files, root, budget) for one in left),
    ]
    notes = (*_secret_notes(secrets), *_limit_notes(len(read), len(written)), *_unseen_notes(seen))
    return Proposals(tuple(inputs[:MOST]), tuple(outputs[:MOST]), notes)


def undeclared(read: Iterable[SeenData], datasets: Iterable[Dataset]) -> list[SeenData]:
    """The inputs that no dataset of a job covers."""
    urls = [one.url.removeprefix("file:") for one in datasets]
    return [one for one in read if not any(_is_in(one.path, url) for url in urls)]


def proposal(inputs: Sequence[SeenData], directory: str) -> tuple[str, str] | None:
    """What to declare next, and its name: the largest input, or the folder of many.

    Args:
        inputs: undeclared, the largest first.
        directory: of the program, relative to the source root; the path is relative to it.
    """
    if not inputs:
        return None
    path = inputs[0].path
    beside = [one for one in inputs if PurePosixPath(one.path).parent == PurePosixPath(path).parent]
    parent = path.rpartition("/")[0]
    if len(beside) > _FEW and parent not in {"", "."}:
        path = f"{parent}/" if path.startswith("s3://") else parent
    name = re.sub(r"[^A-Za-z0-9_]", "_", PurePosixPath(path).name.partition(".")[0]) or "data"
    if not path.startswith(("/", "s3://")):
        path = os.path.relpath(path, directory)
    return f"_{name}" if name[0].isdigit() else name, path


def _is_in(path: str, url: str) -> bool:
    if path.startswith("s3://"):
        return path == url or (url.endswith("/") and path.startswith(url))
    return "://" not in url and PurePosixPath(path).is_relative_to(url)


class _Budget:
    """How much is hashed while the user waits."""

    def __init__(self) -> None:
        self._bytes, self._until = _BUDGET_BYTES, time.monotonic() + _BUDGET_S

    def allows(self, size: int) -> bool:
        if size > self._bytes or time.monotonic() > self._until:
            return False
        self._bytes -= size
        return True


def _file(path: str, prefixes: tuple[str, ...]) -> os.stat_result | None:
    """A regular file that is there and may be data; None for all others."""
    pure = PurePosixPath(path)
    if path.startswith(prefixes) or path.endswith(_CODE) or not _NOT_DATA.isdisjoint(pure.parts):
        return None
    if any(f"/{tool}/" in path for tool in _TOOLS):
        return None
    try:
        found = os.stat(path)  # noqa: PTH116 # many
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _ordered(paths: Iterable[str], files: dict[str, os.stat_result]) -> list[str]:
    """The largest first: those count, if there are too many."""
    return sorted(paths, key=lambda path: (-files[path].st_size, path))[:MOST]


def _seen(path: str, files: dict[str, os.stat_result], root: Path, budget: _Budget) -> SeenData:
    found = files[path]
    whole = budget.allows(found.st_size)
    digest = _digest(path, whole=whole, size=found.st_size)
    return SeenData(
        path=_name(path, root).encode(errors="backslashreplace").decode(),
        size=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="milliseconds"),
        digest=digest if whole else None,
        sample=None if whole else digest,
    )


def _digest(path: str, *, whole: bool, size: int) -> Digest | None:
    try:
        with Path(path).open("rb") as file:
            if whole:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
            parts: list[str] = []
            for start in (0, max(0, size // 2), max(0, size - _SAMPLE)):
                file.seek(start)
                parts.append(hashlib.sha256(file.read(_SAMPLE)).hexdigest())
            return digest_of([size, *parts])
    except OSError:
        return None


def _name(path: str, root: Path) -> str:
    """Relative to the source root where it is inside; an absolute path elsewhere."""
    inside = PurePosixPath(path)
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else path


def _objects(seen: Seen) -> Iterator[tuple[bool, SeenData]]:
    """S3 objects, each once: whether it was read, and what it was last."""
    found: dict[tuple[bool, str], SeenData] = {}
    for process in seen.observations:
        for one in process.objects:
            key = f"s3://{one.get('bucket')}/{one.get('key')}"
            size, version, endpoint = one.get("size"), one.get("version"), one.get("endpoint")
            found[one.get("write") is not True, key] = SeenData(
                path=key,
                size=size if isinstance(size, int) else None,
                version=str(version) if version else None,
                endpoint=str(endpoint) if endpoint else None,
            )
    written = {path for is_input, path in found if not is_input}
    yield from ((is_input, one) for (is_input, path), one in found.items() if not (is_input and path in written))


def _secret_notes(secrets: list[str]) -> Iterator[str]:
    if secrets:
        named = ", ".join(repr(path) for path in secrets[:5])
        yield f"The run opened what holds secrets by its name, which is neither stored nor hashed: {named}."


def _limit_notes(read: int, written: int) -> Iterator[str]:
    for count, did in ((read, "read"), (written, "wrote")):
        if count > MOST:
            yield f"The run {did} {count:,} files beside its source; the {MOST:,} largest are recorded."


def _unseen_notes(seen: Seen) -> Iterator[str]:
    used = sorted(_OWN_IO & {name.partition(".")[0] for name in seen.imported})
    if used:
        yield f"Files that {', '.join(used)} opened without Python were not seen: declare such data (--dataset)."
