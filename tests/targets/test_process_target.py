"""What only the process target has: a supervisor, an environment, a folder."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from target_stages import Stage, living

from launch_jobs.errors import Unavailable
from launch_jobs.targets import AttemptStatus, supervisor
from launch_jobs.targets.process import ProcessTarget, host_id, process_env

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A process target, its attempts removed afterwards."""
    made = Stage("process", ProcessTarget(tmp_path), ProcessTarget(tmp_path), "", tmp_path)
    yield made
    await made.clean()


def _supervisor_of(folder: Path) -> int:
    """Pid of the living supervisor: the parent of the program."""
    pid = json.loads((folder / "status.json").read_text())["pid"]
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


async def _until_ended(stage: Stage, folder: Path) -> AttemptStatus:
    place = await stage.target.place(folder.name)
    async with asyncio.timeout(60):
        while (status := await stage.target.status(place)) and status.state == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return await stage.end(place)


async def test_killed_supervisor_takes_its_program_along(stage: Stage, tmp_path: Path) -> None:
    """When the supervisor is killed, so is the program, and the end is told as lost, not as an exit code."""
    spec, place = await stage.start("wait")
    await stage.output_until(place, b"ready")
    os.kill(_supervisor_of(tmp_path / "runs" / spec.name), signal.SIGKILL)
    end = await _until_ended(stage, tmp_path / "runs" / spec.name)
    assert end.exit_code is None
    assert "supervisor" in end.error
    assert living(spec.name) == []
    assert (await stage.target.ensure(spec)).state == "exited"


async def test_detached_children_without_supervisor_are_still_stopped(stage: Stage, tmp_path: Path) -> None:
    """Children that outlive a killed supervisor keep the attempt running, and stop finds them."""
    spec, place = await stage.start("stubborn")
    await stage.output_until(place, b"ready")
    os.kill(_supervisor_of(tmp_path / "runs" / spec.name), signal.SIGKILL)
    status = await stage.target.status(place)
    assert status is not None
    assert status.state == "running"
    await stage.target.stop(place, 0)
    assert living(spec.name) == []


AGENT = """
import asyncio, sys
from pathlib import Path
from launch_jobs.targets import RunSpec
from launch_jobs.targets.process import ProcessTarget
async def main():
    await ProcessTarget(Path(sys.argv[1])).ensure(RunSpec.model_validate_json(sys.argv[2]))
    print("ensured", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_program_outlives_a_killed_agent(stage: Stage, tmp_path: Path) -> None:
    """After kill -9 of the agent (its whole process group) the next one adopts the program and gets its exit code."""
    spec = stage.spec("polite", 6)
    agent = subprocess.Popen(  # noqa: ASYNC220 # a short start
        [sys.executable, "-c", AGENT, str(tmp_path), spec.model_dump_json()],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ensured\n"
        os.killpg(agent.pid, signal.SIGKILL)
    place = await stage.target.place(spec.name)
    assert b"ready" in await stage.output_until(place, b"ready")
    await stage.target.stop(place, 60)
    assert (await stage.end(place)).exit_code == 6


async def test_program_gets_nothing_of_the_agents_settings(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No PREFECT_ or LAUNCH_JOBS_ setting, nor any other secret of the agent, reaches program or supervisor."""
    for name in ("PREFECT_API_AUTH_STRING", "LAUNCH_JOBS_STORE", "AWS_SECRET_ACCESS_KEY", "MY_TOKEN"):
        monkeypatch.setenv(name, "canary-4711")
    spec = stage.spec("exit")
    dump = "import os; print(dict(os.environ), open(f'/proc/{os.getppid()}/environ').read())"
    await stage.target.ensure(spec.model_copy(update={"command": (sys.executable, "-c", dump)}))
    output = await stage.output(await stage.target.place(spec.name))
    assert b"LAUNCH_RUN_ID" in output
    assert b"canary" not in output


async def test_environment_is_the_specs_over_a_short_list(stage: Stage) -> None:
    """The venv's bin comes first in PATH; locale, certificates and devices come from the agent."""
    spec = stage.spec("exit").model_copy(update={"image": "/venv", "env": {"A": "1", "LANG": "C"}})
    agent = {
        "PATH": "/bin",
        "LANG": "de",
        "LC_ALL": "C.UTF-8",
        "SSL_CERT_FILE": "/ca",
        "PREFECT_API_KEY": "k",
        "X": "y",
    }
    assert process_env(spec, agent) == {
        "PATH": "/venv/bin:/bin",
        "LANG": "C",
        "LC_ALL": "C.UTF-8",
        "SSL_CERT_FILE": "/ca",
        "A": "1",
        "VIRTUAL_ENV": "/venv",
    }


async def test_supervisors_that_race_start_once(stage: Stage, tmp_path: Path) -> None:
    """Of two supervisors started on one folder at the same time, one starts the program."""
    folder = tmp_path / "runs" / "race"
    folder.mkdir(parents=True)
    order = {"argv": ["sh", "-c", "echo one"], "env": {"PATH": os.environ["PATH"]}, "directory": "/", "labels": {}}
    (folder / "spec.json").write_text(json.dumps(order))
    command = [sys.executable, "-I", "-S", supervisor.__file__, str(folder)]
    racers = [await asyncio.create_subprocess_exec(*command) for _ in range(4)]
    assert [await racer.wait() for racer in racers] == [0, 0, 0, 0]
    end = await _until_ended(stage, folder)
    assert (end.exit_code, (folder / "log").read_text()) == (0, "one\n")


async def test_folder_that_cannot_be_entered_is_exit_code_126(stage: Stage) -> None:
    """A working directory that is not there ends the attempt, and says which."""
    spec, place, _ = await stage.run("exit", 0, directory="/no/such/folder")
    end = await stage.end(place)
    assert end.exit_code == 126
    assert "/no/such/folder" in end.error
    assert spec.name not in end.error


async def test_home_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A home under a file is said in one line, and nothing is made."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot write"):
        await ProcessTarget(tmp_path / "file" / "home").place("lj-0-a1")


async def test_collected_path_through_a_link_stays_outside(stage: Stage, tmp_path: Path) -> None:
    """A link that leads out of the source tree is not followed."""
    spec = stage.spec("outputs", 10, collect=("out/passwd",))
    (Path(str(spec.root)) / "out").symlink_to("/etc")
    await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    await stage.output(place)
    assert "out/passwd" in await stage.target.collect(place, spec, tmp_path / "home")
    assert not (tmp_path / "home" / "out").exists()


def test_host_id_is_one_for_all_agents_of_a_home(tmp_path: Path) -> None:
    """It stays the same, and another home has another."""
    assert host_id(tmp_path / "a") == host_id(tmp_path / "a") != host_id(tmp_path / "b")


async def test_an_attempt_is_never_seen_without_its_datasets(stage: Stage) -> None:
    """A dataset that cannot be put there leaves no attempt, so that nobody can start it; made whole later, it runs."""
    spec = stage.spec_with_datasets(model={"weights.txt": "w"})
    staged, away = stage.folder / "staging" / spec.name, stage.folder / "away"
    staged.rename(away)
    with pytest.raises(Unavailable):
        await stage.target.ensure(spec)
    place = await stage.target.place(spec.name)
    assert await stage.target.status(place) is None
    assert list((stage.folder / "runs").iterdir()) == []
    away.rename(staged)
    await stage.target.ensure(spec)
    assert b"weights.txt w read-only" in await stage.output(place)
