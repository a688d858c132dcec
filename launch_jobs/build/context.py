"""Build contexts as tar streams: the same tree gives the same bytes, on any machine, at any time."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from launch_jobs.engine import context_paths

DOCKERFILE = ".launch-jobs.dockerfile"
TIME = 315532800
"""Of every file: 1980-01-01 UTC, the earliest that a zip file can hold."""


def write_context(
    into: IO[bytes], dockerfile: str, files: Mapping[str, str | Path], tree: tuple[Path, str] | None
) -> None:
    """Write a context and rewind.

    Args:
        into: a file open for binary reading and writing.
        dockerfile: its text; found in the context under `DOCKERFILE`.
        files: texts, or files to read, by path.
        tree: a source folder, and where its content goes in the context. At the top (""), it is the context of the
            job's own Dockerfile, so that its `.dockerignore` counts.
    """
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, text in sorted({**files, DOCKERFILE: dockerfile}.items()):
            data = text.read_bytes() if isinstance(text, Path) else text.encode()
            tar.addfile(_entry(path, size=len(data)), io.BytesIO(data))
        if tree:
            _add_tree(tar, *tree)
    into.seek(0)


def _add_tree(tar: tarfile.TarFile, root: Path, prefix: str) -> None:
    paths = sorted(_walk(root)) if prefix else _own_paths(root)
    if prefix:
        tar.addfile(_entry(prefix, kind=tarfile.DIRTYPE, mode=0o755))
    for path in paths:
        _add(tar, root / path, f"{prefix}/{path}" if prefix else path)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    if path.is_symlink():
        entry = _entry(name, kind=tarfile.SYMTYPE, mode=0o777)
        entry.linkname = os.readlink(path)  # noqa: PTH115 -- byte for byte; Path would normalise the target
        tar.addfile(entry)
    elif path.is_dir():
        tar.addfile(_entry(name, kind=tarfile.DIRTYPE, mode=0o755))
    elif path.is_file():
        status = path.stat()
        with path.open("rb") as content:
            tar.addfile(_entry(name, size=status.st_size, mode=0o755 if status.st_mode & 0o100 else 0o644), content)


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        here = os.path.relpath(folder, root)
        if here == ".":
            folders[:] = [name for name in folders if name != ".git"]
        for name in [*folders, *files]:
            yield name if here == "." else f"{here}/{name}"


def _own_paths(root: Path) -> list[str]:
    ignore = root / ".dockerignore"
    lines = ignore.read_text(errors="replace").splitlines() if ignore.is_file() else []
    return [path for path in context_paths(root, [*lines, ".git", DOCKERFILE]) if path != "."]


def _entry(name: str, *, size: int = 0, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.mode, entry.mtime = size, kind, mode, TIME
    return entry
