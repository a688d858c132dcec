"""Filters that a repository asks git to run (LFS, git-crypt, nbstripout): we never do, but say which there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from launch_jobs.capture.git import Repository
from launch_jobs.capture.git_files import Looked
from launch_jobs.errors import CaptureError

_FILTER = re.compile(rb"^[^#\n]*\sfilter=(\S+)", re.MULTILINE)
# git-lfs' own rule: a pointer is shorter than 1024 bytes, and its keys stand in this order.
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-\d-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_POINTER_BYTES = 1024


def note_filters(repository: Repository, looked: Looked) -> None:
    """Add a note on the filters that attributes name.

    Raises:
        CaptureError: files are Git LFS pointers, whose content is not here; lists them.
    """
    names = {name for file in _attribute_files(repository, looked) for name in _filters(file)}
    if not names:
        return
    if "lfs" in names:
        _check_pointers(repository, looked)
    looked.notes.append(f"Files are carried as they are here; git's filters were not run: {', '.join(sorted(names))}.")


def _attribute_files(repository: Repository, looked: Looked) -> Iterator[Path]:
    yield from (repository.root / path for path in looked.seen if path.rpartition("/")[2] == ".gitattributes")
    if repository.git.git_dir:
        yield repository.git.git_dir / "info" / "attributes"


def _filters(file: Path) -> list[str]:
    try:
        return [name.decode("utf-8", "replace") for name in _FILTER.findall(file.read_bytes())]
    except OSError:
        return []


def _check_pointers(repository: Repository, looked: Looked) -> None:
    found: dict[str, str] = {}
    for path, one in looked.seen.items():
        if one.mode != "link" and one.size < _POINTER_BYTES and not one.elsewhere:
            pointer = _POINTER.fullmatch((repository.root / path).read_bytes()) if one.size > 100 else None
            if pointer:
                found[path] = f"{path!r} (sha256:{pointer[1].decode()}, {int(pointer[2]):,} bytes)"
    missing = [found[path] for path in _filtered_by_lfs(repository, list(found))]
    if missing:
        raise CaptureError(
            f"{len(missing)} files in {repository.root} are Git LFS pointers, their content is not here: "
            f"{', '.join(missing[:10])}",
            do="Run git lfs pull",
        )


def _filtered_by_lfs(repository: Repository, paths: list[str]) -> Iterator[str]:
    if not paths:
        return
    answers = repository.git.paths("check-attr", "-z", "filter", "--", *paths)
    for path, value in zip(answers[0::3], answers[2::3], strict=True):
        if value == "lfs":
            yield path
