"""The Python of a program that kept the tracker out: a shell script with a PYTHONPATH of its own starts one unseen."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from launch_jobs.capture.entrypoint import Located
from launch_jobs.capture.tree import Snapshot

_SPEAKS = re.compile(rb"(?<![\w.-])python[0-9.]*(?![\w-])|[\w)]\.py\b")
_LONGEST = 1 << 20  # bytes of a script that anybody wrote by hand


def unseen_python(located: Located, snapshot: Snapshot) -> str | None:
    """The Python on PATH, where the command, or a source file that it names, speaks of one; else None."""
    words = " ".join(located.program.argv).encode("utf-8", "surrogateescape")
    if not (_SPEAKS.search(words) or any(_SPEAKS.search(text) for text in _scripts(located, snapshot))):
        return None
    return shutil.which("python") or shutil.which("python3")


def _scripts(located: Located, snapshot: Snapshot) -> list[bytes]:
    entries = {entry.path: entry for entry in snapshot.files if entry.mode != "link"}
    named = {path for word in located.program.argv if (path := located.relative(word)) in entries}
    small = [path for path in sorted(named) if _size(snapshot.root / path) <= _LONGEST]
    return [snapshot.content.read(entries[path]) for path in small]


def _size(path: Path) -> int:
    """Of a file that was read when it was captured; the program may have removed it."""
    return path.stat().st_size if path.is_file() else 0
