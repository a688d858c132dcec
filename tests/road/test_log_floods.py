"""Floods and odd bytes of real programs: the run ends well, its log is whole, the live log says what is left out."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from walking import Road

from launch_jobs.client import connect
from launch_jobs.live_log import LONGEST_LINE
from launch_jobs.output_tail import GAP_LOGGER, OUTPUT_LOGGER
from launch_jobs.run import RunState
from launch_jobs.runs import read_log

pytestmark = pytest.mark.anyio

FLOOD = "yes 'a line of forty bytes, newline included.' | head -n 1000000; echo last"
ODD = (
    "i=0; while [ $i -lt 9 ]; do i=$((i+1)); printf '%s0%%\\r' $i; done; printf '100%%\\r\\n';"
    "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'b\\000\\377\\033[31mred\\n'; printf end"
)


async def _live(run: str) -> list[Log]:
    """A run's lines. Other entries of its log may come late, between others: then a page repeats some of the last."""
    found: dict[UUID, Log] = {}
    read = 0
    async with connect() as client:
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run)]))
        while page := await client.read_logs(log_filter=chosen, limit=200, offset=read):
            read += len(page)
            found |= {entry.id: entry for entry in page}
    return [entry for entry in found.values() if entry.name.endswith((OUTPUT_LOGGER, GAP_LOGGER))]


async def _whole(road: Road, run: str) -> bytes:
    return b"".join([chunk async for chunk in read_log(run, road.store)])


async def test_a_flood_is_kept_whole_and_told_in_part(road: Road) -> None:
    """A million lines at once: all in the store, packed; on the server some, and how many are not there."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    run = await road.submit(road.job(FLOOD), queue)
    most = 0
    async for size in _polled(road, run, agent.process.pid):
        most = max(most, size)
    whole = await _whole(road, run)
    assert (whole.count(b"\n"), whole[-6:]) == (1_000_001, b"\nlast\n")
    entries = await _live(run)
    left_out = [int(entry.message.split()[1].replace(",", "")) for entry in entries if entry.name.endswith(GAP_LOGGER)]
    assert left_out and sum(left_out) + len(entries) - len(left_out) == 1_000_001
    assert len(entries) < 50_000
    assert most < 400e6, f"the agent took {most} bytes"
    assert _packed(road.home / "store") < len(whole) / 20


async def _polled(road: Road, run: str, pid: int) -> AsyncGenerator[int]:
    """The agent's memory while a run goes on, which then must have completed."""
    process = psutil.Process(pid)
    while not (await road.until(run, lambda _: True)).state.is_final:
        yield process.memory_info().rss
        await asyncio.sleep(0.2)
    assert (await road.end(run)).state is RunState.COMPLETED


async def test_a_killed_agent_leaves_no_gap(road: Road, tmp_path: Path) -> None:
    """Each line is in the live log once and in order, though the agent died in between; the next one goes on."""
    queue = await road.queue("process")
    first, go = road.agent("-q", queue), tmp_path / "go"
    count = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; [ $i -ne 1500 ] || sleep 3; done"
    run = await road.submit(road.job(f"{count}; until [ -e {go} ]; do sleep 0.1; done"), queue)
    while len(await _live(run)) < 1000:
        await road.until(run, lambda info: not info.state.is_final)
    first.stop(signal.SIGKILL)
    road.agent("-q", queue)
    go.touch()
    assert (await road.end(run)).state is RunState.COMPLETED
    expected = [str(number) for number in range(1, 3001)]
    assert [entry.message for entry in await _live(run)] == expected
    assert (await _whole(road, run)).decode().split() == expected


def _packed(store: Path) -> int:
    """The size of the one packed file of a store, which unpacks."""
    (file,) = [path for path in store.glob("files/**/*") if path.is_file()]
    with gzip.open(file) as content:
        while content.read(1 << 20):
            pass
    return file.stat().st_size


@pytest.fixture(params=["process", "docker"])
def kind(request: pytest.FixtureRequest, road: Road, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """A queue's type; the images of the test's own jobs are gone after it."""
    if request.param == "docker":
        monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", request.getfixturevalue("docker_base"))
    yield request.param
    for digest in road.jobs if request.param == "docker" else ():
        for image in _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={digest}"):
            _docker("rmi", "-f", image)


def _docker(*arguments: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.split()


async def test_odd_bytes(road: Road, kind: str) -> None:
    """A progress bar is its last state, a long line is cut, no byte ends the run; the store has all as it was."""
    queue = await road.queue(kind)
    road.agent("-q", queue)
    run = await road.submit(road.job(f"# {uuid.uuid4()}\n{ODD}"), queue)
    assert (await road.end(run)).state is RunState.COMPLETED
    first, long, binary, last = (await _whole(road, run)).split(b"\n")
    assert first == b"".join(b"%d0%%\r" % number for number in range(1, 10)) + b"100%\r"
    assert (long, last) == (b"x" * 1_000_000, b"end")
    assert binary.startswith(b"b\0") and binary.endswith(b"\x1b[31mred")
    live = [entry.message for entry in await _live(run)]
    assert (live[0], live[3], len(live)) == ("100%", "end", 4)
    assert len(live[1]) < LONGEST_LINE + 100
    assert live[2].startswith("b\N{SYMBOL FOR NULL}")
