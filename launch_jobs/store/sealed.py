"""Folders that are kept as they were checked: a seal beside each tells whether anybody changed it since."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def seal(new: Path, folder: Path) -> None:
    """Give a checked folder its lasting name and its seal, readable for anybody; the caller holds a lock.

    The inode change times are in the seal, which no program sets, but whoever may set the clock.
    """
    if folder.exists():
        folder.rename(new.with_name("broken"))  # its temporary parent takes it along
    for path in (str(new), *_walk(str(new), folders=True)):
        if not os.path.islink(path):  # noqa: PTH114 # many
            mode = os.stat(path).st_mode  # noqa: PTH116 # many
            os.chmod(path, 0o755 if stat.S_ISDIR(mode) else mode & 0o111 | 0o444)  # noqa: PTH101 # many
    new.rename(folder)
    text = _stamps(folder)
    file = seal_of(folder)
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.replace(file)


def is_whole(folder: Path) -> bool:
    """Whether it is there, and nothing in it was changed since it was sealed. The question makes its seal young."""
    try:
        os.utime(seal_of(folder))
        return seal_of(folder).read_text() == _stamps(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False


def seal_of(folder: Path) -> Path:
    """The file beside a folder that tells whether it is whole; its time, when it was last asked for."""
    return folder.with_name(f"{folder.name}.seal")


def _stamps(folder: Path) -> str:
    stamps = hashlib.sha256()
    for path in _walk(str(folder)):
        found = os.lstat(path)
        stamp = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        stamps.update(os.fsencode(f"{path}\0{stamp}\n"))
    return stamps.hexdigest()


def _walk(folder: str, *, folders: bool = False) -> Iterator[str]:
    """Files and links below a folder, sorted within each, and on demand the folders; links are not followed."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            entries = sorted((entry.path, entry.is_dir(follow_symlinks=False)) for entry in found)
        for path, is_folder in entries:
            if is_folder:
                waiting.append(path)
            if folders or not is_folder:
                yield path
