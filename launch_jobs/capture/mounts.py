"""File systems of the kernel inside a source tree: no source, and reading them may block or never end."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OF_THE_KERNEL = {
    *("proc", "sysfs", "devtmpfs", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "configfs", "bpf"),
    *("cgroup", "cgroup2", "pstore", "efivarfs", "hugetlbfs", "fusectl", "binfmt_misc", "autofs", "nsfs"),
}


def kernel_mounts(root: Path) -> dict[str, str]:
    """What is mounted below a folder and is the kernel's: path relative to it → kind; nothing but on Linux."""
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        place, kind = Path(_unescaped(before.split(" ")[4])), after.partition(" ")[0]
        if kind in _OF_THE_KERNEL and place != root and place.is_relative_to(root):
            found[place.relative_to(root).as_posix()] = kind
    return found


def mount_notes(mounts: dict[str, str]) -> list[str]:
    """What was left out, in plain words."""
    return [f"{path!r} is a {kind} file system of the kernel: it is left out." for path, kind in sorted(mounts.items())]


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)
