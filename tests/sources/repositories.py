"""Folders and git repositories for the tests of sources, made and read without the code under test."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from launch_jobs.capture.source import Snapshot, checkout, snapshot_source
from launch_jobs.job import Entrypoint, Job, JobVersion
from launch_jobs.store.jobs import JobStore

Tree = dict[str, tuple[str, bytes]]
"""Path → (mode as git keeps it, content or link target)."""

ANY_REMOTE = "https://* ssh://* http://127.0.0.1 file:///"
"""What an operator of these tests' machine lets git fetch from."""

WHO = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@dataclass(frozen=True)
class Repo:
    """A work tree under git."""

    root: Path

    def git(self, *arguments: str) -> str:
        """Run git as a user would."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=os.environ | WHO, check=True, capture_output=True, timeout=60
        )
        return done.stdout.decode()

    def commit(self, message: str = "a commit") -> str:
        """Add everything, commit, and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def state(self) -> Tree:
        """Everything under `.git`, with times."""
        found = tree_of(self.root / ".git", without=())
        return {path: (str((self.root / ".git" / path).lstat().st_mtime_ns), data) for path, (_, data) in found.items()}


def new_repo(root: Path, *options: str) -> Repo:
    """An empty repository on branch main."""
    root.mkdir(parents=True)
    repo = Repo(root)
    repo.git("init", "--quiet", "--initial-branch=main", *options)
    return repo


def ordinary_repo(root: Path) -> Repo:
    """A repository with one commit of files of every kind, and no remote."""
    repo = new_repo(root)
    (root / "train.py").write_text("print('one')\nprint('two')\n")
    (root / "package" / "deep").mkdir(parents=True)
    (root / "package" / "__init__.py").touch()
    (root / "package" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 8)
    (root / "run.sh").write_text("#!/bin/sh\nexit 0\n")
    (root / "run.sh").chmod(0o755)
    (root / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    (root / "no-newline").write_text("end")
    (root / "latest").symlink_to("package/deep")
    (root / ".gitignore").write_text("*.ignored\n")
    repo.commit()
    return repo


def add_remote(repo: Repo, remote: Path, name: str = "origin") -> None:
    """Make an empty bare repository, and push everything to it."""
    repo.git("init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    repo.git("remote", "add", name, str(remote))
    repo.git("push", "--quiet", "--set-upstream", name, "main")


def tree_of(root: Path, without: tuple[str, ...] = (".git",)) -> Tree:
    """What is in a folder."""
    found: Tree = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in without]
        kept = [name for name in files if name not in without]
        for name in [*kept, *(one for one in names if Path(folder, one).is_symlink())]:
            file = Path(folder, name)
            path = str(file.relative_to(root))
            if file.is_symlink():
                found[path] = ("link", os.fsencode(os.readlink(file)))  # noqa: PTH115  exact
            else:
                found[path] = ("755" if file.stat().st_mode & 0o100 else "644", file.read_bytes())
    return found


def put_tree(root: Path, tree: Tree) -> None:
    """Make a folder hold exactly this."""
    for child in root.iterdir():
        if child.name != ".git":
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    for path, (mode, data) in tree.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if mode == "link":
            file.symlink_to(os.fsdecode(data))
        else:
            file.write_bytes(data)
            file.chmod(0o755 if mode == "755" else 0o644)


def version_of(snapshot: Snapshot) -> JobVersion:
    """A job version with this source."""
    job = Job(source=snapshot.source, entrypoint=Entrypoint(argv=("true",)))
    return JobVersion(name="job", version=0, job=job, origin=snapshot.origin, created="2025-01-01T00:00:00Z")


def capture(directory: Path, store: JobStore) -> JobVersion:
    """Snapshot a folder into a job version."""
    with snapshot_source(directory, store) as snapshot:
        return version_of(snapshot)


def round_trip(directory: Path, store: JobStore, into: Path) -> Tree:
    """Snapshot a folder, write it elsewhere, and return what came out."""
    checkout(capture(directory, store), store, into)
    return tree_of(into, without=())
