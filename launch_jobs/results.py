"""What a run leaves: the files in a collected folder become outputs, a flat `metrics.json` becomes metrics."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import cast

from launch_jobs.job import JsonObject
from launch_jobs.run import OutputFile, Outputs

METRICS_FILE = "metrics.json"
_METRICS_LIMIT = 1 << 20
# A date, a time or a random name in it (Hydra's outputs/2026-01-31/10-20-30, wandb/run-…), or a folder that is counted
# up (lightning_logs/version_3, runs/exp12).
_OF_ONE_RUN = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]|[0-9]{2}[-_:][0-9]{2}[-_:][0-9]{2}|[0-9]{6}|[0-9a-f]{16}|[0-9]/"
)


def paths_to_collect(records: Iterable[Iterable[str]]) -> tuple[str, ...] | None:
    """Which paths of the source tree a run's outputs are, by what the captured runs wrote; None: whatever it writes.

    None without a captured run, and where a path was made for one run only: another run has another.
    """
    runs = [tuple(paths) for paths in records]
    written = {path for paths in runs for path in paths}
    if not runs or any(_OF_ONE_RUN.search(path) for path in written):
        return None
    return tuple(sorted(written))


def gather_outputs(folder: Path, directory: str, limit_bytes: int) -> tuple[Outputs, list[Path]]:
    """Describe the regular files of a folder, smallest first, until the limit is reached.

    Args:
        folder: what was collected.
        directory: the job's working directory relative to its source root; paths below it are told relative to it.
        limit_bytes: most bytes kept; what does not fit is named in `left_out`.

    Returns:
        The outputs, and the local path of each of their files.
    """
    found = sorted((path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()), key=_size)
    files: dict[str, tuple[OutputFile, Path]] = {}
    left_out: list[str] = []
    total = 0
    for path in found:
        name = _name(path.relative_to(folder).as_posix(), directory)
        if name in files or total + _size(path) > limit_bytes or not _is_text(name):
            left_out.append(name.encode(errors="backslashreplace").decode())
            continue
        total += _size(path)
        with path.open("rb") as content:
            digest = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
        files[name] = (OutputFile(path=name, size=_size(path), digest=digest), path)
    ordered = [files[name] for name in sorted(files)]
    metrics = read_metrics(files[METRICS_FILE][1]) if METRICS_FILE in files else {}
    outputs = Outputs(files=tuple(file for file, _ in ordered), left_out=tuple(sorted(left_out)), metrics=metrics)
    return outputs, [path for _, path in ordered]


def _size(path: Path) -> int:
    return path.stat().st_size


def _is_text(name: str) -> bool:
    """Whether a file name is UTF-8; another cannot be told in JSON."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _name(path: str, directory: str) -> str:
    inside = PurePosixPath(path)
    return inside.relative_to(directory).as_posix() if inside.is_relative_to(directory) else path


def read_metrics(path: Path) -> JsonObject:
    """The scalar entries of a `metrics.json`; nothing if it is no JSON object or over 1 MiB."""
    if _size(path) > _METRICS_LIMIT:
        return {}
    try:
        # JSON has no NaN and no infinity, but Python's own writer does: they are kept as the words it writes.
        content: object = json.loads(path.read_bytes(), parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    entries = cast("JsonObject", content)
    return {name: value for name, value in entries.items() if isinstance(value, str | int | float | bool)}
