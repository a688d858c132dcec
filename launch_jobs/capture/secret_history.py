"""Secrets in commits that travel in a job's bundle: files as they once were, which the work tree holds no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from launch_jobs.capture.git import Repository
from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.secrets import LARGEST_BYTES, TOTAL_BYTES, allowed_paths, secrets_in
from launch_jobs.errors import Refused

_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Once:
    """A file as it once was; `data` is empty where it was not read."""

    name: str
    path: str
    size: int
    data: bytes = b""


def check_history(
    repository: Repository, commit: str, present: Iterable[str], allowed: Sequence[str] = ()
) -> list[str]:
    """Judge every file that commits on no remote hold, and that the work tree has not as it is; return notes.

    Where there is no remote at all, names are judged, and no content (see `git_carried`).

    Args:
        repository: the user's; only read.
        commit: what is checked out there.
        present: git's names of the contents that are judged already.
        allowed: paths that may hold secrets, as the user wrote them.

    Raises:
        Refused: a file that is gone again held a secret; names commit, file, line and kind, never the value.
    """
    known, pardoned = set(present), allowed_paths(repository.root, allowed)
    once = sorted((one for one in _travelling(repository, commit) if one.name not in known), key=lambda one: one.size)
    found = [(one, reason) for one in _read(repository, once) if (reason := _reason(one))]
    refused = [(one, reason) for one, reason in found if one.path not in pardoned]
    if refused:
        raise _refusal(repository, commit, refused)
    let_pass = ", ".join(sorted({one.path for one, _ in found}))
    return [f"--allow-secret-file let pass, in commits that travel with the job: {let_pass}."] if found else []


def _travelling(repository: Repository, commit: str) -> Iterator[_Once]:
    """Every content of a file that no remote has."""
    listed = repository.git.run("rev-list", "--objects", commit, "--not", "--remotes")
    rows = (line.decode(errors="surrogateescape").partition(" ") for line in listed.splitlines())
    paths = {name: path for name, _, path in rows if path}
    wanted = "".join(f"{name}\n" for name in paths).encode()
    kinds = repository.git.run("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=wanted)
    for name, kind, size in (row.split() for row in kinds.decode().splitlines()):
        if kind == "blob":
            yield _Once(name, paths[name], int(size))


def _read(repository: Repository, once: Sequence[_Once]) -> Iterator[_Once]:
    """With their content, as far as that is searched: the smallest first, and none where nothing was ever shared."""
    left = TOTAL_BYTES if repository.git.run("for-each-ref", "--count=1", "refs/remotes") else 0
    chosen: list[_Once] = []
    for one in once:
        left -= one.size
        if one.size <= LARGEST_BYTES and left >= 0:
            chosen.append(one)
        else:
            yield one
    wanted = "".join(f"{one.name}\n" for one in chosen).encode()
    stream, at = repository.git.run("cat-file", "--batch", stdin=wanted), 0
    for one in chosen:
        begin = stream.index(b"\n", at) + 1
        at = begin + one.size + 1
        yield replace(one, data=stream[begin : at - 1])


def _reason(one: _Once) -> str | None:
    if kind := denied_kind(one.path):
        return f"{one.path} ({kind}, by its name)"
    if not one.data or b"\0" in one.data[:8192]:
        return None
    found = secrets_in(one.data.decode(errors="replace"))
    return f"{one.path}:{found[0].line} ({found[0].kind} {found[0].masked})" if found else None


def _refusal(repository: Repository, commit: str, refused: Sequence[tuple[_Once, str]]) -> Refused:
    listed = [f"{reason} in commit {_commit(repository, commit, one)}" for one, reason in refused[:_LISTED]]
    more = f" and {len(refused) - len(listed)} more" if len(refused) > len(listed) else ""
    return Refused(
        f"commits in {repository.root} that are on no remote would travel with the job, and hold what looks secret in "
        f"files as they once were: {', '.join(sorted(listed))}{more}",
        do="Take it out of these commits (git rebase -i), and change the secret if anybody has seen it; "
        "if it may be stored with the job, add --allow-secret-file PATH",
    )


def _commit(repository: Repository, commit: str, one: _Once) -> str:
    """The commit that brought a content, in short."""
    found = repository.git.text("log", "-m", "--format=%h", f"--find-object={one.name}", commit, "--not", "--remotes")
    return found.splitlines()[-1] if found else commit[:12]
