"""Which files of a work tree a job would carry itself, because no remote has them as they are."""

from __future__ import annotations

from launch_jobs.capture.git import Repository
from launch_jobs.capture.git_files import Looked
from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.tree import SeenFile

MANY = 2000
"""More committed files than this are judged by their names only: a long history that nobody ever pushed."""


def carried_files(repository: Repository, commit: str, looked: Looked) -> list[SeenFile]:
    """Uncommitted files, and those that commits touch which are on no remote, as they are now.

    Where there is no remote at all, committed files are judged by their names only: whoever works alone has looked at
    what is committed, and the passwords in a project's tests must not keep it from its first run. What such a commit
    holds and a later one took away again is judged by `secret_history`.
    """
    changed = looked.changed
    known = {one.path for one in changed}
    shared = bool(repository.git.run("for-each-ref", "--count=1", "--format=x", "refs/remotes"))
    touched = _unpushed(repository, commit, looked) if shared else looked.seen
    unpushed = [one for path, one in touched.items() if path not in known]
    if unpushed and (not shared or len(unpushed) > MANY):
        looked.notes.append(f"{len(unpushed)} committed files that are on no remote were not searched for secrets.")
        unpushed = [one for one in unpushed if denied_kind(one.path)]
    return [*changed, *unpushed]


def _unpushed(repository: Repository, commit: str, looked: Looked) -> dict[str, SeenFile]:
    touched = repository.git.run(
        *("log", "--format=", "--name-only", "--no-renames", "--no-ext-diff", "-m", "-z", f"--max-count={MANY}"),
        *(commit, "--not", "--remotes"),
    )
    paths = {path.decode(errors="surrogateescape") for path in touched.split(b"\0")}
    return {path: one for path, one in looked.seen.items() if path in paths}
