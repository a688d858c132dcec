"""Limits hold exactly and runs start in the server's order, with eight agents that race for them."""

from __future__ import annotations

import asyncio
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from commands import environment
from infrastructure.plugin import missing
from walking import Road

from launch_jobs.client import connect
from launch_jobs.run import RunState

pytestmark = pytest.mark.anyio

_AGENTS = 8
# Each run writes when it began and ended into a file of its own, by one clock.
_TIMED = """import pathlib, sys, time
began = time.monotonic()
time.sleep(0.2)
pathlib.Path(sys.argv[1]).write_text(f"{began} {time.monotonic()}")
"""


def _most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


def _inversions(begins: list[float]) -> int:
    return sum(later < earlier for earlier, later in pairwise(begins))


async def _spans(road: Road, folder: Path, queue: str, runs: int) -> list[tuple[str, Path]]:
    """Submit runs one after another; each run, and where it will write when it ran."""
    script = folder / "timed.py"
    script.write_text(_TIMED)
    job = road.job(f'exec {sys.executable} {script} "$1"')
    spans = [folder / f"{queue}-{number}" for number in range(runs)]
    return [(await road.submit(job, queue, args=[str(span)]), span) for span in spans]


async def _times(road: Road, submitted: list[tuple[str, Path]]) -> list[tuple[float, float]]:
    """When each ran, in the order of submission."""
    for run, _ in submitted:
        assert (await road.end(run)).state is RunState.COMPLETED
    times = [span.read_text().split() for _, span in submitted]
    return [(float(began), float(ended)) for began, ended in times]


async def test_a_queue_limit_is_never_exceeded(road: Road, tmp_path: Path) -> None:
    """Eight agents of two queues never exceed either limit; where it is one, runs start in the order of submission."""
    queues = [await road.queue("process", limit=limit) for limit in (1, 2)]
    one, two = [await _spans(road, tmp_path, queue, runs) for queue, runs in zip(queues, (6, 8), strict=True)]
    for _ in range(_AGENTS):
        road.agent("-q", queues[0], "-q", queues[1])
    alone, pairs = await _times(road, one), await _times(road, two)
    assert (_most_at_once(alone), _most_at_once(pairs) <= 2) == (1, True)
    assert _inversions([began for began, _ in alone]) == 0


async def test_an_agents_own_limit_is_never_exceeded(road: Road, tmp_path: Path) -> None:
    """`--max-jobs 1` of one agent holds over its two queues together."""
    queues = [await road.queue("process"), await road.queue("process")]
    submitted = [pair for queue in queues for pair in await _spans(road, tmp_path, queue, 3)]
    road.agent("-q", queues[0], "-q", queues[1], "--max-jobs", "1")
    assert _most_at_once(await _times(road, submitted)) == 1


@pytest.mark.parametrize("clock", ["-1 hour", "+1 hour"])
async def test_a_submitters_clock_moves_no_run_in_line(road: Road, clock: str) -> None:
    """Of three runs, the second submitted by a machine whose clock is wrong, the second is the second to start."""
    if shutil.which("faketime") is None:
        missing("faketime")
    queue, job = await road.queue("process"), road.job("true")
    first = await road.submit(job, queue, args=["first"])
    command = ["submit", job.reference, "-q", queue, "--arg", "second", "--json"]
    process = await asyncio.create_subprocess_exec(
        *("faketime", "-f", clock.replace(" hour", "h"), sys.executable, "-m", "launch_jobs", *command),
        cwd=road.home,
        env=environment(road, FAKETIME_DONT_FAKE_MONOTONIC="1"),
    )
    assert await process.wait() == 0
    third = await road.submit(job, queue, args=["third"])
    async with connect() as client:
        line = [found.flow_run for found in await client.get_scheduled_flow_runs_for_work_pool(queue)]
    assert [run.parameters["args"] for run in line] == [["first"], ["second"], ["third"]]
    assert [str(line[0].id), str(line[2].id)] == [first, third]
