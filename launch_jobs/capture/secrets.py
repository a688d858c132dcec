"""Nothing secret is stored: the files that a job would carry are judged before anything of them is kept.

A file is refused for its name (`.env`, `id_rsa`, …), or for a secret of a known shape in its text. What merely looks
random is noted only, or every lock file would be refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.capture.secret_hints import hints_at_secret, random_looking
from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.tree import SeenFile
from launch_jobs.errors import Refused

if TYPE_CHECKING:
    from launch_jobs.capture.secret_shapes import Found

LARGEST_BYTES = 5 << 20
"""Larger files are data, and are not searched."""

TOTAL_BYTES = 64 << 20
"""Most bytes that are searched, the smallest files first."""

_LISTED = 10
_PUBLIC_BLOCK = re.compile(rb"-----BEGIN (?![A-Z0-9 ]*PRIVATE)[A-Z0-9 ]+-----")
_SELDOM = re.compile(r"(\.lock|lock\.(json|yaml)|\.ipynb|\.svg|\.csv|\.tsv|\.map|\.min\.js)$")
"""Files full of digests or pictures in letters: what looks random there says nothing."""


@dataclass(slots=True)
class _Judged:
    """What was found so far."""

    refused: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    binary: int = 0
    unsearched: list[str] = field(default_factory=list[str])
    random: list[str] = field(default_factory=list[str])


def check_secrets(root: Path, seen: Iterable[SeenFile], allowed: Sequence[str] = ()) -> list[str]:
    """Judge files that a job would carry; return notes on what was let pass, and on what was not searched.

    Args:
        root: the source root.
        seen: the files.
        allowed: paths that may hold secrets, as the user wrote them, or relative to the root.

    Raises:
        Refused: a file holds a secret; names file, line and kind, never the value.
    """
    known = allowed_paths(root, allowed)
    judged = _Judged()
    left = TOTAL_BYTES
    for one in sorted(seen, key=lambda each: each.size):
        path = one.path
        if one.mode == "link" or not one.size:
            continue
        left -= one.size
        data = _read(Path(one.file(root))) if one.size <= LARGEST_BYTES and left >= 0 else None
        _judge(path, data, judged, allowed=path in known)
    if judged.refused:
        raise _refusal(root, judged.refused)
    return [*judged.notes, *_notes(judged)]


def secrets_in(text: str) -> tuple[Found, ...]:
    """Secrets of a known shape in a text; the scanner is loaded only if the text hints at one."""
    if not hints_at_secret(text.encode(errors="replace") + b";"):
        return ()
    from launch_jobs.capture.secret_shapes import scan

    return scan(text)


def _judge(path: str, data: bytes | None, judged: _Judged, *, allowed: bool) -> None:
    reasons = [f"{path} ({kind}, by its name)"] if (kind := denied_kind(path)) else _by_content(path, data, judged)
    if reasons and allowed:
        judged.notes.append(f"--allow-secret-file let pass: {', '.join(reasons)}.")
    else:
        judged.refused.extend(reasons)


def _by_content(path: str, data: bytes | None, judged: _Judged) -> list[str]:
    if data is None:
        judged.unsearched.append(path)
        return []
    if b"\0" in data[:8192]:
        judged.binary += 1
        return []
    if path.lower().endswith(".pem") and not _is_public(data):
        return [f"{path} (private key, by its name)"]
    if hints_at_secret(data) and (found := secrets_in(data.decode(errors="replace"))):
        return [f"{path}:{one.line} ({one.kind} {one.masked})" for one in found[:_LISTED]]
    if not _SELDOM.search(path) and (line := random_looking(data)):
        judged.random.append(f"{path}:{line}")
    return []


def _is_public(data: bytes) -> bool:
    """Whether a PEM file is a certificate or public key, which is for everyone."""
    return bool(_PUBLIC_BLOCK.search(data)) and b"PRIVATE KEY" not in data


def _read(file: Path) -> bytes | None:
    """The content now; whoever captures checks afterwards that it did not change meanwhile."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def allowed_paths(root: Path, allowed: Sequence[str]) -> set[str]:
    """The allowed paths relative to the root: what the user wrote is relative to where the user is, or to the root."""
    found = {Path(path).as_posix() for path in allowed}
    for path in allowed:
        here = Path.cwd() / path
        resolved = here.parent.resolve() / here.name
        if resolved.is_relative_to(root):
            found.add(resolved.relative_to(root).as_posix())
    return found


def _refusal(root: Path, refused: list[str]) -> Refused:
    shown = sorted(refused)[:_LISTED]
    more = f" and {len(refused) - len(shown)} more" if len(refused) > len(shown) else ""
    return Refused(
        f"the source in {root} holds what looks secret, and was not captured: {', '.join(shown)}{more}",
        do="Ignore the file (.gitignore, or .launchignore in a folder without git) or take the value out of it; "
        "if it may be stored with the job, add --allow-secret-file PATH",
    )


def _notes(judged: _Judged) -> list[str]:
    notes: list[str] = []
    if judged.random:
        notes.append(f"Random-looking values that may be secrets were captured: {_some(judged.random)}.")
    if judged.unsearched:
        notes.append(f"Not searched for secrets, for their size: {_some(judged.unsearched)}.")
    if judged.binary:
        notes.append(f"Not searched for secrets: {judged.binary} binary file{'s' * (judged.binary != 1)}.")
    return notes


def _some(paths: list[str]) -> str:
    listed = sorted(paths)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
