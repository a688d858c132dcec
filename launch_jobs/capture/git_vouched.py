"""Files that need not be read before a program runs, because git can say what is in them, whatever becomes of them.

Reading ten thousand files takes half a second. Of a file whose inode is as git last saw it, git has the content
already; it is read later all the same, and only if it is no longer the same file then, git's copy stands for it. A file
is vouched for only where that copy is sure to be its bytes: no flag keeps git from looking, no filter is between the
two, both are of the same size, and it was not changed so lately that a further change might leave its times as they
are. git itself is never asked to compare: of files that changed lately it would run the repository's filters.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from launch_jobs.capture.git import Git, Repository
from launch_jobs.capture.tree import FileChangedError, SeenFile, Stamp, mode_of, see, stamp_of
from launch_jobs.errors import CaptureError
from launch_jobs.names import sha256

LATELY_NS = 3 * 10**9
"""The coarsest file times that there are (2 s on FAT), and some."""

_AT_ONCE_BYTES = 64 << 20
_MODES = {"100644": "644", "100755": "755"}
# Paths with an attribute that makes git's copy other bytes than the file; line endings show in the size.
_FILTERED = ":(exclude,attr:!filter !ident !working-tree-encoding)"
_INODE = re.compile(
    rb"([^\0]+)\0  ctime: (\d+):(\d+)\n  mtime: (\d+):(\d+)\n  dev: \d+\tino: (\d+)\n  uid: .*\n  size: .*\n"
)


@dataclass(frozen=True, slots=True)
class Vouched:
    """What git vouches for.

    Attributes:
        files: path → mode, git's name of the content, and its size.
        inodes: path → times of content and inode, and the inode's number, as git last saw them.
        before_ns: later changes may be unseen.
    """

    files: Mapping[str, tuple[str, str, int]]
    inodes: Mapping[str, tuple[int, int, int]]
    before_ns: int

    def unread(self, path: str, stamp: Stamp) -> SeenFile | None:
        """The file in this state, its digest left open; None if it must be read at once."""
        mode, object_id, size = self.files.get(path, ("", "", -1))
        if size != stamp[1] or _MODES.get(mode) != mode_of(stamp) or max(stamp[2:4]) >= self.before_ns:
            return None
        if self.inodes.get(path) != (stamp[2], stamp[3], stamp[4] & 0xFFFFFFFF):
            return None
        return SeenFile(path, mode_of(stamp), "", size, stamp, object_id)


@dataclass(frozen=True, slots=True)
class CommitFiles:
    """The files of a commit.

    Attributes:
        names: path → mode and git's name of the content.
        sizes: bytes by path; empty in a partial clone, which need not have the contents.
    """

    names: dict[str, tuple[str, str]]
    sizes: dict[str, int]


def commit_files(repository: Repository, commit: str) -> CommitFiles:
    """List a commit's files."""
    partial = next((repository.objects / "pack").glob("*.promisor"), None)
    names: dict[str, tuple[str, str]] = {}
    sizes: dict[str, int] = {}
    asked = ("ls-tree", "-r", "-z", "--full-tree", *(() if partial else ("--long",)), commit)
    for record in repository.git.paths(*asked):
        about, _, path = record.partition("\t")
        mode, _, object_id, *size = about.split()
        names[path] = (mode, object_id)
        if size and size[0] != "-":
            sizes[path] = int(size[0])
    return CommitFiles(names, sizes)


def vouched_files(repository: Repository, index: Mapping[str, tuple[str, str]], commit: CommitFiles) -> Vouched:
    """What git vouches for of the files that are in its index as in the commit.

    Args:
        repository: the user's; only read.
        index: the files that git looks at: path → mode and git's name of the content.
        commit: the commit's.
    """
    if not (commit.sizes and index and repository.git.git_dir):
        return Vouched({}, {}, 0)
    # A file as new as the index may have changed after git looked.
    written = (repository.git.git_dir / "index").stat().st_mtime_ns
    before = min(written, time.time_ns() - LATELY_NS)
    filtered = {*repository.git.paths("ls-files", "-z", "--", _FILTERED)}
    same = (path for path, one in index.items() if commit.names.get(path) == one and path not in filtered)
    files = {path: (*index[path], commit.sizes.get(path, -1)) for path in same}
    return Vouched(files, _inodes(repository), before)


def _inodes(repository: Repository) -> dict[str, tuple[int, int, int]]:
    """What git's index says of inodes; nothing, should a later git write it otherwise."""
    found: dict[str, tuple[int, int, int]] = {}
    for path, *numbers in _INODE.findall(repository.git.run("ls-files", "-z", "--debug")):
        changed, changed_ns, modified, modified_ns, inode = map(int, numbers)
        found[os.fsdecode(path)] = (modified * 10**9 + modified_ns, changed * 10**9 + changed_ns, inode)
    return found


def read_rest(repository: Repository, seen: dict[str, SeenFile]) -> None:
    """Read what was left unread, and of files that are no longer the same, git's copy.

    Raises:
        CaptureError: git's copy is not what the file was.
    """
    lost: list[SeenFile] = []
    for path, one in seen.items():
        if one.digest:
            continue
        found = _read_same(repository, one)
        if found:
            seen[path] = found
        else:
            lost.append(one)
    for one in _copies(repository.git, lost):
        seen[one.path] = one


def _read_same(repository: Repository, one: SeenFile) -> SeenFile | None:
    """The file read, if it is still the same all the time."""
    try:
        found = see(repository.root, one.path, repository.object_format)
        return found if found and found.stamp == one.stamp == stamp_of(one.file(repository.root)) else None
    except (FileChangedError, CaptureError):
        return None


def _copies(git: Git, lost: list[SeenFile]) -> Iterator[SeenFile]:
    """What git has of files that changed since."""
    while lost:
        some, total = [lost.pop()], 0
        while lost and (total := total + lost[-1].size) < _AT_ONCE_BYTES:
            some.append(lost.pop())
        wanted = "".join(f"{one.object_id}\n" for one in some).encode()
        stream, at = git.run("cat-file", "--batch", stdin=wanted), 0
        for one in some:
            line, _, _ = stream[at : at + 200].partition(b"\n")
            if line != f"{one.object_id} blob {one.size}".encode():
                raise CaptureError(f"{one.path!r} was overwritten by the program, and git has no copy of it as it was")
            begin = at + len(line) + 1
            at = begin + one.size + 1
            yield replace(one, digest=sha256(stream[begin : at - 1]))
