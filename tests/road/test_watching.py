"""`launch submit --watch`: what it says while a run waits, runs and ends; on a terminal and off it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Terminal, command, environment, typed
from walking import LIMIT_S, Road

from launch_jobs.run import RunState
from launch_jobs.runs import show_run

pytestmark = pytest.mark.anyio

GATE = (
    'echo begun; until [ -e "$1" ]; do sleep 0.1; done; echo "{\\"loss\\": 0.25}" > "$LAUNCH_OUTPUT_DIR/metrics.json"'
)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file without which the program does not end."""
    return tmp_path / "gate"


def open_gate(gate: Path) -> None:
    """Let the program end."""
    gate.touch()


async def test_the_output_comes_while_the_program_runs(road: Road, gate: Path) -> None:
    """Without a terminal stdout has the program's lines as they come; phases, one a line, are on stderr."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    job = road.job(f"{GATE}; printf end")
    watch = await asyncio.create_subprocess_exec(
        *command("submit", job.reference, "-q", queue, "--arg", str(gate), "--name", f"live-{queue}", "--watch"),
        env=environment(road),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watch.stdout
    assert await asyncio.wait_for(watch.stdout.readline(), LIMIT_S) == b"begun\n"
    assert (await show_run(f"live-{queue}", road.store)).state is RunState.RUNNING
    open_gate(gate)
    rest, phases = await asyncio.wait_for(watch.communicate(), LIMIT_S)
    assert watch.returncode == 0
    assert rest.startswith(b"end\n")
    assert b"0.25" in rest and b"metrics.json" in rest
    told = [line for line in phases.decode().splitlines() if line.startswith(f"live-{queue} · ")]
    assert f"Position 1 of 1 in {queue}" in told[0]
    assert "Completed: Exited with code 0" in told[-1]
    assert len(set(told)) == len(told)


async def test_on_a_terminal_one_line_changes_and_results_follow(road: Road, gate: Path) -> None:
    """The live line stays on one row of 80 columns; the output is above it; metrics and outputs come last."""
    queue = await road.queue("process")
    job = road.job(GATE)
    with Terminal(road, "submit", job.reference, "-q", queue, "--arg", str(gate), "--name", "t", "--watch") as screen:
        await asyncio.to_thread(screen.until, lambda seen: "Position 1 of 1" in seen)
        road.agent("-q", queue)
        await asyncio.to_thread(screen.until, lambda seen: "begun\n" in seen)
        open_gate(gate)
        assert await asyncio.to_thread(screen.end) == 0
        rows = [row for part in screen.seen.split("\n") for row in _redrawn(part)]
        assert max(len(row) for row in rows if " · " in row) <= 80
        assert screen.seen.index("begun") < screen.seen.index("metric") < screen.seen.index("metrics.json")
        assert "next: launch outputs" in screen.seen


def _redrawn(text: str) -> Iterator[str]:
    """What stood on a row, each time it was drawn, without colours and movements."""
    for drawn in re.split(r"\r|\x1b\[2K", text):
        yield re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)


async def test_interrupted_the_run_goes_on(road: Road, gate: Path) -> None:
    """Ctrl-C ends the watch (130), and says that the run goes on, which it does."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    job = road.job(GATE)
    name = f"go-on-{queue}"
    with Terminal(road, "submit", job.reference, "-q", queue, "--arg", str(gate), "--name", name, "--watch") as screen:
        await asyncio.to_thread(screen.until, lambda seen: "begun\n" in seen)
        os.kill(screen.process.pid, signal.SIGINT)
        assert await asyncio.to_thread(screen.end) == 130
        assert f"{name} goes on" in screen.seen
    assert (await show_run(name, road.store)).state is RunState.RUNNING
    open_gate(gate)
    assert (await road.end(name)).state is RunState.COMPLETED


async def test_with_json_there_is_one_document(road: Road) -> None:
    """The program's output is not mixed into it, and a failed run is exit code 1."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    said = await typed(road, "submit", road.job("echo noise; exit 3").reference, "-q", queue, "--watch", "--json")
    assert said.code == 1, said.err
    assert (said.document["state"], said.document["exit_code"]) == ("failed", 3)


async def test_a_watch_says_why_a_run_waits(road: Road, gate: Path) -> None:
    """A paused queue is named in the first phase, and the run starts when it is resumed."""
    queue = await road.queue("process")
    await typed(road, "queue", "pause", queue)
    open_gate(gate)
    with Terminal(road, "submit", road.job(GATE).reference, "-q", queue, "--arg", str(gate), "--watch") as screen:
        await asyncio.to_thread(screen.until, lambda seen: "paused" in seen)
        road.agent("-q", queue)
        await typed(road, "queue", "resume", queue)
        assert await asyncio.to_thread(screen.end) == 0
