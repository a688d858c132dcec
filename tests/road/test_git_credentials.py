"""An operator's GitCredentials block on the whole road: captured and checked out with it, and it is left nowhere."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
from infrastructure.git_server import SECRETS, TOKEN, USER, GitHost, git_host
from walking import Road

import blocks
from launch_jobs.names import JobRef
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio


@pytest.fixture
def host(tmp_path: Path) -> Generator[GitHost]:
    """A private git host with a repository of one program."""
    work, hosted = tmp_path / "work", tmp_path / "hosted"
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "init", "--quiet", str(work)], check=True)
    (work / "run.sh").write_text("echo it runs\n")
    subprocess.run(["git", "add", "--all"], cwd=work, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "-m", "a commit"], cwd=work, check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(hosted / "repo.git")], check=True)
    with git_host(hosted) as host:
        yield host


def launch(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """One command."""
    return subprocess.run([sys.executable, "-m", "launch_jobs", *arguments], capture_output=True, check=False)


async def test_a_private_repository_is_captured_and_run_with_the_block(
    road: Road, host: GitHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting names the block, in the home that captures and on the agent that checks out."""
    name = f"git-{uuid.uuid4().hex[:8]}"
    await blocks.GitCredentials.model_validate({"host": host.name, "username": USER, "token": TOKEN}).asave(name)
    monkeypatch.setenv("LAUNCH_JOBS_GIT_CREDENTIALS", name)
    source = ("git", f"{host.address}/repo.git", "--name", name)
    done = await asyncio.to_thread(launch, "job", "create", *source, "--", "sh", "run.sh")
    assert done.returncode == 0, done.stderr
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.store.resolve(JobRef.parse(name)), queue)
    assert (await road.end(run)).state is RunState.COMPLETED
    assert host.arguments == []
    kept = b"".join(path.read_bytes() for path in road.home.rglob("*") if path.is_file()) + done.stdout + done.stderr
    assert not [secret for secret in SECRETS if secret.encode() in kept]
