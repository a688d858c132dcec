"""Look at a git work tree: every file that git tracks or would add, those of submodules and inner repositories too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from launch_jobs.capture.git import Git, GitFailedError, Repository
from launch_jobs.capture.git_remote import clean_url
from launch_jobs.capture.git_vouched import Vouched, commit_files, vouched_files
from launch_jobs.capture.ignore import IgnoreRules, is_compiled_module
from launch_jobs.capture.limits import Meter
from launch_jobs.capture.mounts import kernel_mounts, mount_notes
from launch_jobs.capture.tree import (
    NEVER_SOURCE,
    SeenFile,
    SpecialFileError,
    Stamp,
    check_link,
    in_real_folder,
    link_leaves,
    see,
    stamp_of,
    walk,
)
from launch_jobs.errors import CaptureError

_SUBMODULE = "160000"
_MODES = {"644": "100644", "755": "100755", "link": "120000"}
# What git leaves in its folder while it waits for the user.
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}


@dataclass(frozen=True, slots=True)
class Looked:
    """A work tree as we saw it.

    Attributes:
        seen: every file, by path; some without digest yet.
        stamps: the state of every path that git knows or would add, None for what is not there.
        base: the commit's files: path → (mode, object id).
        notes: what is particular about the work tree.
    """

    seen: dict[str, SeenFile] = field(default_factory=dict[str, SeenFile])
    stamps: dict[str, Stamp | None] = field(default_factory=dict[str, "Stamp | None"])
    base: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    notes: list[str] = field(default_factory=list[str])

    @property
    def changed(self) -> list[SeenFile]:
        """Files that are not as in the commit."""
        return [one for one in self.seen.values() if self.differs(one)]

    @property
    def gone(self) -> list[str]:
        """Paths of the commit that are no file now."""
        return [path for path in self.base if path not in self.seen]

    def differs(self, one: SeenFile) -> bool:
        """Whether a file is not as in the commit."""
        return self.base.get(one.path) != (git_mode(one), one.object_id)


@dataclass(slots=True)
class _Listed:
    """What git says of a work tree and of those inside it: paths, relative to the outer root."""

    tracked: set[str] = field(default_factory=set[str])
    untracked: set[str] = field(default_factory=set[str])
    unwatched: set[str] = field(default_factory=set[str])
    sparse: set[str] = field(default_factory=set[str])
    index: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    inner: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


def git_mode(one: SeenFile) -> str:
    """A file's mode as git's index has it."""
    return _MODES[one.mode]


def look(repository: Repository, commit: str, without: frozenset[str], meter: Meter) -> Looked:
    """Look at every file that git tracks or would add, however it is told to look at it.

    Those that git vouches for are not read yet (see `git_vouched`).

    Files of submodules and of inner repositories are files of this tree: they need no network and no access
    elsewhere, and are as they are here.

    Raises:
        CaptureError: something cannot be carried exactly; names it.
        FileChangedError: a file changed while we read it.
        GitFailedError: git cannot read the repository.
    """
    _check_finished(repository)
    committed = commit_files(repository, commit)
    looked = Looked(base=committed.names)
    listed = _listed(repository.root, repository.git, without)
    _take_instead(repository, listed, looked, meter)
    looked.notes.extend((*listed.notes, *_flag_notes(listed)))
    for path in sorted(listed.untracked - listed.tracked):
        _weigh(repository.root, path, meter)
    real = in_real_folder(repository.root)
    vouched = vouched_files(repository, listed.index, committed)
    left_out: list[str] = []
    for path in sorted(listed.tracked | listed.untracked):
        one = _see(repository, path, looked, vouched) if real(path) else None
        if one:
            _check(repository.root, one, looked, meter)
        elif path in listed.sparse:
            left_out.append(path)
    if left_out:
        looked.notes.append(f"A sparse checkout leaves out {_some(left_out)}: nor are they in the job.")
    return looked


def _take_instead(repository: Repository, listed: _Listed, looked: Looked, meter: Meter) -> None:
    """Look at the files that are taken in the place of some, and not at those."""
    for path, file in meter.limits.instead_in(repository.root).items():
        one = see(repository.root, path, repository.object_format, elsewhere=file)
        listed.tracked.discard(path)
        listed.untracked.discard(path)
        if one:
            looked.seen[path] = one
            meter.add(path, one.size)


def _see(repository: Repository, path: str, looked: Looked, vouched: Vouched) -> SeenFile | None:
    """Look at one path, and remember what was there."""
    try:
        stamp = stamp_of(f"{repository.root}/{path}")
        one = vouched.unread(path, stamp) if stamp else None
        one = one or see(repository.root, path, repository.object_format)
    except SpecialFileError:
        looked.notes.append(f"{path!r} is a socket, pipe or device, which no job can hold: it is left out.")
        return None
    looked.stamps[path] = one.stamp if one else None
    if one:
        looked.seen[path] = one
    return one


def _check(root: Path, one: SeenFile, looked: Looked, meter: Meter) -> None:
    """Count what the commit does not hold; a link that leaves the tree is refused there, and noted in the commit."""
    changed = looked.differs(one)
    if changed:
        meter.add(one.path, one.size)
    if one.mode != "link":
        return
    if changed:
        check_link(root, one.path)
    elif target := link_leaves(root, one.path):
        looked.notes.append(f"The committed link {one.path!r} points outside, to {target!r}.")


def _weigh(root: Path, path: str, meter: Meter) -> None:
    try:
        stamp = stamp_of(f"{root}/{path}")
    except SpecialFileError:
        return
    if stamp:
        meter.add(path, stamp[1])


def _check_finished(repository: Repository) -> None:
    git_dir = repository.git.git_dir or repository.root / ".git"
    for name, what in _UNFINISHED.items():
        if (git_dir / name).exists():
            raise CaptureError(f"a {what} is in progress in {repository.root}", do=f"Finish the {what}, or abort it")


def _listed(root: Path, git: Git, without: frozenset[str]) -> _Listed:
    listed = _Listed()
    _list_tracked(root, git, "", listed)
    _list_untracked(git, "", without, listed)
    while listed.inner:
        prefix = listed.inner.pop()
        if not (root / prefix / ".git").exists():
            _list_without_repository(root, prefix, listed)
            continue
        inside = _inner_git(root, prefix)
        _list_tracked(root, inside, f"{prefix}/", listed)
        _list_untracked(inside, f"{prefix}/", without, listed)
        listed.notes.append(f"{_described(inside, prefix)} travels as plain files.")
    listed.untracked |= set(_compiled_modules(root, listed)) - without
    _drop_ignored(root, listed)
    return listed


def _compiled_modules(root: Path, listed: _Listed) -> Iterator[str]:
    """Compiled modules beside source: git ignores them, the program imports them, and nobody builds them elsewhere."""
    folders = {path.rpartition("/")[0] for path in listed.tracked | listed.untracked if path.endswith(".py")}
    real = in_real_folder(root)
    for prefix in {f"{folder}/" if folder else "" for folder in folders}:
        for one in os.scandir(root / prefix) if real(prefix) else ():
            if is_compiled_module(one.name) and one.is_file(follow_symlinks=False):
                yield prefix + one.name


def _drop_ignored(root: Path, listed: _Listed) -> None:
    """Of the untracked files, drop what `.launchignore` says, and what is the kernel's."""
    own = IgnoreRules(root, names=(".launchignore",), dockers=False)
    mounts = kernel_mounts(root)
    below = tuple(f"{path}/" for path in mounts)
    listed.notes.extend(mount_notes(mounts))
    listed.untracked = {
        path for path in listed.untracked if not path.startswith(below) and own.keeps_with_parents(path)
    }


def _list_tracked(root: Path, git: Git, prefix: str, listed: _Listed) -> None:
    """Add the paths in an index.

    Raises:
        CaptureError: some are in conflict.
    """
    for record in git.paths("ls-files", "-z", "-v", "--stage"):
        about, _, name = record.partition("\t")
        tag, mode, object_id, stage = about.split(" ")
        path = prefix + name
        if stage != "0":
            raise CaptureError(f"{path!r} in {root} is in conflict", do="Finish the merge, or abort it")
        if mode == _SUBMODULE:
            listed.inner.append(path)
            continue
        listed.tracked.add(path)
        if tag == "H" and not prefix:
            listed.index[path] = (mode, object_id)
        if tag.upper() == "S":
            listed.sparse.add(path)
        if tag != "H" and (tag.islower() or (root / path).exists()):
            listed.unwatched.add(path)


def _list_untracked(git: Git, prefix: str, without: frozenset[str], listed: _Listed) -> None:
    """Add what git would add: not ignored, and not what tools leave beside the source."""
    names = git.paths("ls-files", "-z", "--others", "--exclude-standard")
    for name in _without_tools(names):
        if name.endswith("/"):
            listed.inner.append(prefix + name.rstrip("/"))
        elif prefix + name not in without:
            listed.untracked.add(prefix + name)


def _without_tools(names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    environments = tuple(name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg"))
    for name in names:
        if not NEVER_SOURCE & set(name.split("/")) and not name.startswith(environments):
            yield name


def _list_without_repository(root: Path, prefix: str, listed: _Listed) -> None:
    """A submodule whose repository is not here: what files there are in its folder."""
    there = [f"{prefix}/{name}" for name in walk(root / prefix)] if (root / prefix).is_dir() else []
    listed.untracked |= set(_without_tools(there))
    if not there:
        listed.notes.append(f"The submodule {prefix!r} is not initialised: it has no files here, nor in the job.")


def _inner_git(root: Path, prefix: str) -> Git:
    """git in a submodule or inner repository.

    Raises:
        CaptureError: its `.git` leads elsewhere, so that its files would be another's.
    """
    folder = root / prefix
    inside = Git(folder, user=True)
    try:
        top = inside.paths("rev-parse", "--path-format=absolute", "--show-toplevel")
    except GitFailedError as error:
        raise CaptureError(f"git cannot read the repository {prefix!r} in {root}: {error}") from error
    if [Path(one.rstrip("\n")).resolve() for one in top] != [folder.resolve()]:
        raise CaptureError(f"{prefix!r} in {root} is no whole git repository", do="Mend it, or remove its .git")
    return inside


def _described(inside: Git, prefix: str) -> str:
    commit, url = (_answer(inside, *asked) for asked in (("rev-parse", "HEAD"), ("remote", "get-url", "origin")))
    known = ", ".join(one for one in (clean_url(url) if url else None, commit and f"commit {commit}") if one)
    return f"The submodule or inner repository {prefix!r}{f' ({known})' if known else ''}"


def _answer(git: Git, *arguments: str) -> str:
    try:
        return git.text(*arguments)
    except GitFailedError:
        return ""


def _flag_notes(listed: _Listed) -> Iterator[str]:
    if listed.unwatched:
        yield f"git is told not to look at {_some(listed.unwatched)}; they were read all the same."


def _some(paths: Iterable[str]) -> str:
    ordered = sorted(paths)
    shown = ", ".join(repr(path) for path in ordered[:3])
    return f"{len(ordered)} file{'s' * (len(ordered) != 1)} ({shown}{', …' if len(ordered) > 3 else ''})"
