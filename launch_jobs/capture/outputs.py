"""What a tracked run left in its source tree; remembered, so that the next run does not take it for source."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch_jobs.home import home
from launch_jobs.names import sha256

_NEVER = {"__pycache__", ".git", "node_modules"}
_MOST = 200_000  # entries that are looked at


def written_paths(root: Path, seen: Iterable[str], since_ns: int, source: Collection[str]) -> tuple[str, ...]:
    """Files that a run wrote and left, relative to the source root, sorted.

    Args:
        root: the source root.
        seen: absolute paths that the tracker saw being written.
        since_ns: when the run began. Files changed since were written too (by extension modules, which open files
            unseen); but not those of the source, which an editor may have changed meanwhile.
        source: paths of the source tree.
    """
    left = {str(Path(path).relative_to(root)) for path in seen if Path(path).is_relative_to(root)}
    changed = {path for path in _changed(root, since_ns) if path not in source}
    kept = {path for path in left | changed if _NEVER.isdisjoint(Path(path).parts) and not path.endswith(".pyc")}
    return tuple(sorted(path for path in kept if (root / path).is_file()))


def remember_outputs(directory: Path, name: str, root: Path, paths: Iterable[str]) -> None:
    """Note what a run of a job, started in a folder, left in its source tree, and in which state."""
    left = {path: stamp for path in paths if (stamp := _stamp(root / path))}
    known = _load(directory, name)
    files = (known.files if known.root == str(root) else {}) | left
    file = _file(directory, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps({"root": str(root), "files": files}))
    new.replace(file)


def earlier_outputs(directory: Path, name: str) -> tuple[str, ...]:
    """Files, relative to the source root, that are exactly as an earlier tracked run of this job left them.

    One that somebody changed since is source: nothing that a user wrote may be left out of a job.
    """
    known = _load(directory, name)
    return tuple(sorted(path for path, stamp in known.files.items() if _stamp(Path(known.root) / path) == stamp))


def _changed(root: Path, since_ns: int) -> Iterator[str]:
    count, waiting = 0, [str(root)]
    while waiting and count < _MOST:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # not ours to read
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        count += len(entries)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _NEVER:
                    waiting.append(entry.path)
            elif _stat_ns(entry) >= since_ns:
                yield str(Path(entry.path).relative_to(root))


def _stat_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_ctime_ns
    except FileNotFoundError:
        return 0


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class _Known:
    root: str = ""
    files: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


def _file(directory: Path, name: str) -> Path:
    return home() / "captures" / "outputs" / f"{name}-{sha256(os.fsencode(directory))[7:23]}.json"


def _load(directory: Path, name: str) -> _Known:
    """What is known; nothing where it is damaged. By hand, for a program waits, and pydantic is slow to import."""
    try:
        found: Any = json.loads(_file(directory, name).read_bytes())
        files = {str(path): (int(stamp[0]), int(stamp[1])) for path, stamp in found["files"].items()}
        return _Known(str(found["root"]), files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return _Known()
