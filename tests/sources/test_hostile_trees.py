"""Row B75: a commit of a stranger's that tries to make its checkout run something, or write elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from repositories import Repo, add_remote, capture, tree_of

from launch_jobs.capture.source import checkout
from launch_jobs.errors import LaunchError
from launch_jobs.job import GitSource, JobVersion
from launch_jobs.store.jobs import JobStore


def made(repo: Repo, *rows: tuple[str, str, str]) -> str:
    """A tree of some entries (mode and kind, name, content or object), as git itself would not make it."""
    lines: list[bytes] = []
    for kind, name, text in rows:
        found = text
        if "blob" in kind:
            done = subprocess.run(
                ["git", "hash-object", "-w", "--stdin"],
                cwd=repo.root,
                input=text.encode(),
                capture_output=True,
                check=True,
            )
            found = done.stdout.decode().strip()
        lines.append(f"{kind} {found}\t{name}".encode() + b"\0")
    done = subprocess.run(
        ["git", "mktree", "-z", "--missing"], cwd=repo.root, input=b"".join(lines), capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def job_of(repo: Repo, store: JobStore, tmp_path: Path, tree: str) -> JobVersion:
    """A job of a commit with this tree, which a remote has."""
    commit = repo.git("commit-tree", tree, "-m", "hostile").strip()
    repo.git("update-ref", "refs/heads/hostile", commit)
    add_remote(repo, tmp_path / "remote.git")
    repo.git("push", "--quiet", "origin", "hostile")
    version = capture(repo.root, store)
    assert isinstance(version.job.source, GitSource)
    source = version.job.source.model_copy(update={"commit": commit})
    return version.model_copy(update={"job": version.job.model_copy(update={"source": source})})


@pytest.mark.parametrize("name", [".git", ".GIT", ".Git", "git~1", ".git\u200c"])
def test_no_repository_comes_out_of_a_tree(repo: Repo, store: JobStore, tmp_path: Path, name: str) -> None:
    """Neither by git's own name, nor by one that another file system takes for it."""
    hooks = made(repo, ("100755 blob", "post-checkout", f"#!/bin/sh\ntouch {tmp_path}/ran\n"))
    inner = made(repo, ("040000 tree", "hooks", hooks))
    version = job_of(repo, store, tmp_path, made(repo, ("040000 tree", name, inner)))

    with pytest.raises(LaunchError):
        checkout(version, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "ran").exists()


def test_nothing_is_written_through_a_link(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A link and a folder of one name, where case does not count (CVE-2021-21300, CVE-2024-32002)."""
    inner = made(repo, ("100644 blob", "pwned", "x"))
    rows = (("120000 blob", "a", str(tmp_path / "elsewhere")), ("040000 tree", "A", inner))
    (tmp_path / "elsewhere").mkdir()
    version = job_of(repo, store, tmp_path, made(repo, *rows))

    with pytest.raises(LaunchError):
        checkout(version, store, tmp_path / "out")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_filters_and_hooks_of_a_commit_are_never_run(
    repo: Repo, store: JobStore, tmp_path: Path, user_config: Path
) -> None:
    """Not even where the user's own configuration knows the filter."""
    ran = tmp_path / "ran"
    user_config.write_text(
        f'[filter "evil"]\n smudge = touch {ran}; cat\n clean = touch {ran}; cat\n required = true\n'
    )
    (repo.root / ".gitattributes").write_text("train.py filter=evil\n")
    (repo.root / ".gitmodules").write_text('[submodule "x"]\n path = x\n url = -u./evil\n')
    subprocess.run(["git", "-c", "filter.evil.clean=cat", "add", "--all"], cwd=repo.root, check=True)
    repo.git("-c", "filter.evil.clean=cat", "commit", "--quiet", "--message", "evil")
    add_remote(repo, tmp_path / "remote.git")
    ran.unlink(missing_ok=True)
    checkout(capture(repo.root, store), store, tmp_path / "out")

    assert not ran.exists()
    assert tree_of(tmp_path / "out") == tree_of(repo.root)
