"""Secrets that an agent's operator binds: the program has them, and nobody and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path

import pytest
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from walking import Road

from launch_jobs.client import connect
from launch_jobs.names import attempt_name
from launch_jobs.run import RunInfo, RunState
from launch_jobs.runs import read_log
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

SCRIPT = """# {mark}
cat "$LAUNCH_SECRETS_DIR/token"; echo
base64 -w0 "$LAUNCH_SECRETS_DIR/token"; echo
echo "variable $TOKEN"
printf %s "$TOKEN" | sha256sum
sha256sum < "$LAUNCH_SECRETS_DIR/key"
stat -c '%a %u' "$LAUNCH_SECRETS_DIR/token"; id -u
echo ready
while [ ! -e {go} ]; do sleep 0.1; done
echo "again $TOKEN"
"""


def _canary() -> str:
    return f"canary-{uuid.uuid4().hex}"


def _agent_file(home: Path, queue: str, token: str, key: Path) -> None:
    path = home / "agent.toml"
    path.write_text(f"""
        [secrets.token]
        command = ["printf", "%s\\\\n", "{token}"]
        queues = ["{queue}"]
        [secrets.key]
        file = "{key}"
        queues = ["{queue}"]
        [secrets.other]
        value = "{token}"
        queues = ["another-queue"]
        """)
    path.chmod(0o600)


async def _submit(road: Road, script: str, queue: str, *secrets: str) -> str:
    job = road.job(script)
    submission = Submission(job=job.reference, queue=queue, variables={"secrets": [*secrets]})
    return str((await submit(submission, road.store)).id)


async def _log(road: Road, run: str) -> str:
    return b"".join([chunk async for chunk in read_log(run, road.store)]).decode()


async def _told_by_prefect(run: str) -> str:
    """Everything that the server keeps of a run."""
    async with connect() as client:
        found = await client.read_flow_run(uuid.UUID(run))
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[found.id])))
        states = await client.read_flow_run_states(found.id)
    return " ".join(str(one.model_dump_json()) for one in (found, *logs, *states))


def _holders(folder: Path, canary: str) -> list[str]:
    """Files below a folder that hold the canary."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path.relative_to(folder)) for path in files if canary.encode() in path.read_bytes())


def _check_log(log: str, token: str, key: bytes) -> None:
    """The program had the values, and its output has not."""
    assert token not in log
    lines = log.splitlines()
    assert lines[:3] == ["[secret]", lines[1], "variable [secret]"]
    assert lines[1].startswith("[secret]")
    assert lines[3].split()[0] == sha256(token.encode()).hexdigest()
    assert lines[4].split()[0] == sha256(key).hexdigest()
    assert lines[-1] == "again [secret]"


async def test_on_a_process_queue_and_across_a_crash(road: Road, tmp_path: Path) -> None:
    """File and variable; an agent that is killed and finds another value hides the old one; nothing is left."""
    queue, token, key = await road.queue("process"), _canary(), tmp_path / "key"
    key.write_bytes(b"\x00binary key\n")
    _agent_file(road.home, queue, token, key)
    agent = road.agent("-q", queue)
    go = tmp_path / "go"
    run = await _submit(road, SCRIPT.format(mark="", go=go), queue, "token=TOKEN", "key")
    spool = road.home / "logs" / "runs" / f"{attempt_name(run, 1)}.log"
    await road.until_true(lambda: spool.exists() and b"ready" in spool.read_bytes())
    assert token.encode() not in spool.read_bytes()
    agent.stop(signal.SIGKILL)
    _agent_file(road.home, queue, "changed meanwhile", key)
    road.agent("-q", queue)
    go.touch()
    info = await road.end(run)
    assert (info.state, info.exit_code) == (RunState.COMPLETED, 0)
    log = await _log(road, run)
    _check_log(log, token, key.read_bytes())
    assert log.splitlines()[5:7] == [f"600 {os.getuid()}", str(os.getuid())]
    assert token not in await _told_by_prefect(run)
    assert _holders(road.home, token) == []
    assert token not in road.agents_said()


async def _failed(road: Road, queue: str, *secrets: str) -> RunInfo:
    info = await road.end(await _submit(road, "echo started", queue, *secrets))
    assert info.state is not RunState.COMPLETED
    assert _holders(road.home / "logs", "started") == []
    return info


async def test_what_cannot_be_given_ends_the_run_before_it_starts(road: Road, tmp_path: Path) -> None:
    """A name that is not bound, or for another queue, fails; what cannot be read is the host's fault."""
    queue = await road.queue("process")
    _agent_file(road.home, queue, _canary(), tmp_path / "missing")
    road.agent("-q", queue)
    for name in ("nobody-knows", "other"):
        info = await _failed(road, queue, name)
        assert info.state is RunState.FAILED
        assert f"no secret '{name}' for runs of the queue '{queue}'" in str(info.reason)
    info = await _failed(road, queue, "key")
    assert info.state is RunState.CRASHED
    assert "secret 'key' cannot be read" in str(info.reason)


@pytest.fixture
def docker(two_machines: Road, docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Road]:
    """Two machines whose agents build on the base image; the test's own images are gone after it."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    yield two_machines
    for digest in two_machines.jobs:
        for image in _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={digest}").split():
            _docker("rmi", "-f", image)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


async def test_on_a_docker_queue(docker: Road, tmp_path: Path) -> None:
    """The engine shows none of it to who inspects the container; its user alone reads the file."""
    road, token, key = docker, _canary(), tmp_path / "key"
    key.write_bytes(b"\x00binary key\n")
    queue = await road.queue("docker")
    assert road.host is not None
    _agent_file(road.host, queue, token, key)
    road.agent("-q", queue)
    run = await _submit(road, SCRIPT.format(mark=uuid.uuid4(), go="/tmp/go"), queue, "token=TOKEN", "key")
    name = attempt_name(run, 1)
    spool = road.host / "logs" / "runs" / f"{name}.log"
    await road.until_true(lambda: spool.exists() and b"ready" in spool.read_bytes())
    inspected = _docker("inspect", name)
    assert token not in inspected
    assert json.loads(inspected)[0]["Config"]["Env"].count("LAUNCH_SECRETS_DIR=/run/secrets") == 1
    assert token not in _docker("top", name, "-o", "pid,args")
    _docker("exec", name, "touch", "/tmp/go")
    assert (await road.end(run)).state is RunState.COMPLETED
    log = await _log(road, run)
    _check_log(log, token, key.read_bytes())
    assert log.splitlines()[5:7] == ["400 1000", "1000"]
    assert token not in await _told_by_prefect(run)
    assert (_holders(road.host, token), _holders(road.home, token)) == (["agent.toml"], [])
