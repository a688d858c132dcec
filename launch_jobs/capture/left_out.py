"""Modules that the program imported from its source tree, but that are no part of the captured source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from launch_jobs.capture.tree import NEVER_SOURCE, Snapshot

_INSTALLED = {"site-packages", "dist-packages"}


def ignored_imports(imported: Mapping[str, str | None], snapshot: Snapshot, prefix: str) -> Iterator[str]:
    """A note for each module that will be missing elsewhere, because something ignores its file.

    Args:
        imported: module → file.
        snapshot: the captured source.
        prefix: the interpreter's folder, which may be inside the tree.
    """
    files = {entry.path for entry in snapshot.files}
    for module, file in sorted(imported.items()):
        if file is None or not Path(file).is_relative_to(snapshot.root) or Path(file).is_relative_to(prefix):
            continue
        path = Path(file).relative_to(snapshot.root)
        if path.as_posix() not in files and not (_INSTALLED | NEVER_SOURCE) & set(path.parts):
            yield f"The program imported {module!r} from {path.as_posix()!r}, which is ignored and not in the job."
