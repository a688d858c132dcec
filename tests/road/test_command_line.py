"""The command line against a real server: what a user types, sees and gets as exit code."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from walking import LIMIT_S, Road

from launch_jobs.client import connect
from launch_jobs.job import Inputs, Option

pytestmark = pytest.mark.anyio

TRAIN = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, required=True)
args = parser.parse_args()
print("lr", args.lr, "epochs", args.epochs)
json.dump({"loss": args.lr * args.epochs}, open("metrics.json", "w"))
raise SystemExit(9 if args.epochs == 13 else 0)
"""


LIST = ("list", "--limit", "200", "--json")  # the server's other runs are other tests'


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str


async def launch(road: Road, *arguments: str, folder: Path | None = None) -> Said:
    """Run one `launch` command as a user would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "launch_jobs", *arguments),
        cwd=folder or road.home,
        env={**os.environ, "LAUNCH_JOBS_HOME": str(road.home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def trained(road: Road, tmp_path: Path) -> str:
    """The name of a job that `launch run` captured."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    name = f"job-{uuid.uuid4().hex[:8]}"
    said = await launch(road, "run", "--name", name, "--", sys.executable, "train.py", "--epochs", "2", folder=folder)
    assert (said.code, said.out) == (0, "lr 0.1 epochs 2\n"), said.err
    return name


async def test_captured_submitted_watched_listed_and_fetched(road: Road, trained: str, tmp_path: Path) -> None:
    """The whole way by commands: captured values stay, the given one changes, results come back."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    said = await launch(road, "submit", trained, "-q", queue, "-p", "lr=0.5", "--name", f"run-{trained}", "--watch")
    assert said.code == 0, said.err
    assert "lr 0.5 epochs 2" in said.out
    (listed,) = [run for run in json.loads((await launch(road, *LIST)).out) if run["queue"] == queue]
    assert (listed["state"], listed["exit_code"], listed["metrics"]) == ("completed", 0, {"loss": 1.0})
    assert listed["parameters"] == {"lr": 0.5, "epochs": 2}
    assert (await launch(road, "logs", f"run-{trained}")).out == "lr 0.5 epochs 2\n"
    assert (await launch(road, "outputs", f"run-{trained}", str(tmp_path / "out"))).code == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"loss": 1.0}
    shown = json.loads((await launch(road, "show", f"run-{trained}", "--json")).out)
    assert {"id", "name", "state", "job", "queue", "exit_code", "reason"} <= set(shown)


async def test_a_failed_run_is_exit_code_1(road: Road, trained: str) -> None:
    """`submit --watch` ends as the run ended."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    assert (await launch(road, "submit", trained, "-q", queue, "-p", "epochs=13", "--watch")).code == 1


BAD = [
    (("submit", "JOB", "-q", "QUEUE", "-p", "epochs=wrong"), 2, "epochs"),
    (("submit", "JOB", "-q", "QUEUE", "-p", "epoch=1"), 2, "epochs"),
    (("submit", "JOB", "-q", "QUEUE", "--set", "timeout=-1"), 2, "timeout"),
    (("submit", "JOB", "-q", "QUEUE", "--set", "privileged=true"), 2, "privileged"),
    (("submit", "JOB", "-q", "nowhere"), 2, "nowhere"),
    (("submit", "nothing", "-q", "QUEUE"), 2, "nothing"),
    (("submit", "JOB:v7", "-q", "QUEUE"), 2, "v0"),
    (("show", "no-such-run"), 2, "no-such-run"),
    (("cancel", "no-such-run"), 2, "no-such-run"),
    (("logs", "no-such-run"), 2, "no-such-run"),
    (("queue", "show", "nowhere"), 2, "nowhere"),
    (("queue", "create", "QUEUE", "--type", "process"), 2, "already"),
    (("run", "--", "python", "missing.py"), 125, "missing.py"),
]


INPUTS = Inputs(
    parameters_schema={
        "type": "object",
        "properties": {"epochs": {"type": "integer", "default": 2}},
        "additionalProperties": False,
    },
    options=(Option(name="epochs", flag="--epochs"),),
)


@pytest.mark.parametrize(("arguments", "code", "words"), BAD)
async def test_bad_input_is_one_line_and_its_exit_code(
    road: Road, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """No traceback: one line that names what is wrong."""
    queue = await road.queue("process")
    job = road.job("true", inputs=INPUTS)
    typed = [word.replace("JOB", job.name).replace("QUEUE", queue) for word in arguments]
    said = await launch(road, *typed)
    assert said.code == code, said.err
    assert words in said.err
    assert len(said.err.strip().splitlines()) == 1, said.err
    async with connect() as client:
        own = WorkPoolFilter(name=WorkPoolFilterName(any_=[queue]))
        assert await client.read_flow_runs(work_pool_filter=own) == []


async def test_a_damaged_version_is_named_and_refused(road: Road, trained: str) -> None:
    """A byte changed in the store is found before anything is queued."""
    queue = await road.queue("process")
    damaged = [path for path in (road.home / "store").rglob("*") if trained in str(path) and path.stat().st_size > 500]
    for path in damaged:
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"train.py", b"evil.py!"))
    said = await launch(road, "submit", trained, "-q", queue)
    assert said.code == 2
    assert trained in said.err
    assert len(said.err.strip().splitlines()) == 1
