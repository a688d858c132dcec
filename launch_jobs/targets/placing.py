"""Puts a run's own config files over those of its container's image, before the program starts. It blocks."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from launch_jobs.config_files.rendering import ChangedFile
from launch_jobs.engine import Engine, errors
from launch_jobs.errors import BadInput, NotFound
from launch_jobs.targets import RunSpec

_LARGEST = 1 << 20


def placed_files(engine: Engine, spec: RunSpec, folder: str) -> bytes:
    """The members of an archive that puts each file in its place; owner, mode and time stay those of the image's file.

    Args:
        engine: that has the container.
        spec: with the files.
        folder: of the container, in which the source tree is.

    Raises:
        BadInput: what is at a file's place is another file than was captured.
    """
    members = (_member(engine, spec.name, PurePosixPath(folder) / file.path, file) for file in spec.files)
    return b"".join(members)


def _member(engine: Engine, name: str, path: PurePosixPath, file: ChangedFile) -> bytes:
    member, content = _there(engine, name, path)
    new = file.after.encode()
    # An agent that died before the start may have put it there already.
    if member is None or content not in (file.before.encode(), new):
        found = "no such file" if member is None else "another file"
        raise BadInput(
            f"parameters of {file.path} cannot be set: the image has {found} at {path}",
            do="Have the job's Dockerfile put the source tree, as it is, into its last WORKDIR",
        )
    member.name, member.size = str(path).lstrip("/"), len(new)
    return member.tobuf(tarfile.PAX_FORMAT) + new + bytes(-len(new) % tarfile.BLOCKSIZE)


def _there(engine: Engine, name: str, path: PurePosixPath) -> tuple[tarfile.TarInfo | None, bytes]:
    """What a container has at a path: nothing, unless that is a regular file that is not large."""
    try:
        with errors():
            archive, _ = engine.get_archive(name, str(path))
            data = _beginning(archive)
    except NotFound:
        return None, b""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member and member.isreg() and member.size <= _LARGEST else None
            return (member, content.read()) if content else (None, b"")
    except tarfile.TarError:
        return None, b""


def _beginning(archive: Iterator[bytes]) -> bytes:
    data = b""
    for chunk in archive:  # to its end, so that the connection can be used again
        data += chunk if len(data) <= 2 * _LARGEST else b""
    return data
