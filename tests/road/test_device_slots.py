"""GPUs that an agent owns, on real queues: a fake inventory, many small runs and a big one, a crash in between."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from walking import Road

from launch_jobs.job import JobVersion
from launch_jobs.names import attempt_name
from launch_jobs.run import RunState
from launch_jobs.runs import cancel_run
from launch_jobs.submission import Submission, submit

pytestmark = pytest.mark.anyio

HOLDS = """
folder={folder}
for id in $(echo $LAUNCH_GPUS | tr , ' '); do mkdir $folder/held-$id || echo $id >> $folder/excess; done
echo "$1 $LAUNCH_GPUS" >> $folder/started
while [ -e $folder/wait-$1 ]; do sleep 0.1; done
sleep 0.3
for id in $(echo $LAUNCH_GPUS | tr , ' '); do rmdir $folder/held-$id; done
"""


async def _submit(road: Road, job: JobVersion, queue: str, name: str, gpus: int) -> str:
    submission = Submission(job=job.reference, queue=queue, variables={"gpus": gpus})
    submission = submission.model_copy(update={"overrides": submission.overrides.model_copy(update={"args": (name,)})})
    return str((await submit(submission, road.store)).id)


def _started(folder: Path) -> list[str]:
    path = folder / "started"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


async def test_many_small_runs_and_a_big_one_across_a_crash(road: Road, tmp_path: Path) -> None:
    """No device twice, the big one passed by nobody, and an agent killed in between forgets no device."""
    queue, job = await road.queue("process"), road.job(HOLDS.format(folder=tmp_path))
    agent = road.agent("-q", queue, "--devices", "fake:0,fake:1,fake:2")
    (tmp_path / "wait-first").touch()
    first = await _submit(road, job, queue, "first", 1)
    await road.until_true(lambda: _started(tmp_path) == ["first"])
    agent.stop(signal.SIGKILL)
    names = {"small-1": 1, "small-2": 1, "big": 3, "small-3": 1, "small-4": 2, "small-5": 1}
    runs = [await _submit(road, job, queue, name, gpus) for name, gpus in names.items()]
    too_big = await _submit(road, job, queue, "too-big", 4)
    road.agent("-q", queue, "--devices", "fake:0,fake:1,fake:2")
    await road.until_true(lambda: sorted(_started(tmp_path)) == ["first", "small-1", "small-2"])
    (tmp_path / "wait-first").unlink()
    for run in (first, *runs):
        assert (await road.end(run)).state is RunState.COMPLETED
    assert not (tmp_path / "excess").exists()
    assert set(_started(tmp_path)[:3]) == {"first", "small-1", "small-2"}
    assert _started(tmp_path)[3] == "big"
    await cancel_run(too_big)
    assert "too-big" not in _started(tmp_path)


async def test_a_container_says_what_it_holds(road: Road, docker_base: str) -> None:
    """Its label tells the next agent, and a second run waits for it; a ready image runs as well as a built one."""
    queue = await road.queue("docker")
    job = road.job("true")
    road.agent("-q", queue, "--devices", "fake:0")

    def submission(command: str) -> Submission:
        variables = {"gpus": 1, "image": docker_base, "command": ["sh", "-c", command]}
        return Submission.model_validate({"job": job.reference, "queue": queue, "variables": variables})

    first = str((await submit(submission("sleep 120"), road.store)).id)
    inspect = ["docker", "inspect", "-f", '{{index .Config.Labels "org.launch-jobs.devices"}}', attempt_name(first, 1)]
    await road.until(first, lambda info: info.state is RunState.RUNNING)
    await road.until_true(lambda: subprocess.run(inspect, capture_output=True, check=False).stdout == b"fake:0\n")
    road.agents[0].stop(signal.SIGKILL)
    road.agent("-q", queue, "--devices", "fake:0")
    second = str((await submit(submission('test "$LAUNCH_GPUS" = 0'), road.store)).id)
    await road.until_true(lambda: "serves" in road.agents[1].log.read_text())
    assert (await road.until(first, lambda info: not info.state.is_final)).state is RunState.RUNNING
    await cancel_run(first)
    assert (await road.end(second)).state is RunState.COMPLETED
