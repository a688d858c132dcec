"""The UI as a user meets it: a real Chromium before the real server, a real agent behind it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest
from browsing import Visitor
from playwright.sync_api import Page, expect
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import Artifact
from road.walking import LIMIT_S, Road

from launch_jobs.client import connect
from launch_jobs.job import Inputs, Option
from launch_jobs.run import RunState
from launch_jobs.runs import list_runs

pytestmark = pytest.mark.anyio

TRAIN = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
parser.add_argument("--epochs", type=int, default=3, help="passes over the data")
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam", help="how weights are updated")
parser.add_argument("--depth", type=int, default=None, help="deepest tree")
parser.add_argument("--augment", action="store_true", help="change the data a little")
args = parser.parse_args()
folder = os.environ.get("LAUNCH_OUTPUT_DIR", ".")
json.dump({"accuracy": args.epochs / 8, "loss": 0.25}, open(os.path.join(folder, "metrics.json"), "w"))
"""


def _launch(road: Road, folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "launch_jobs", *words], cwd=folder, check=True, capture_output=True)


def _captured(road: Road, folder: Path, queue: str) -> str:
    """Capture a training program by running it in an interpreter without any package, and register it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (folder / "project").mkdir()
    (folder / "project" / "train.py").write_text(TRAIN)
    name = f"train-{road.mark}"
    _launch(road, folder / "project", "run", "--name", name, "--", str(folder / "venv/bin/python"), "train.py")
    _launch(road, folder / "project", "job", "register", name, "-q", queue)
    return name


def _open_form(page: Page, job: str) -> None:
    page.get_by_role("link", name="Deployments").click()
    page.get_by_role("link", name=f"job.{job}").click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    expect(page.get_by_label("lr (Optional)")).to_have_value("0.1")


def _check_form(page: Page) -> None:
    """Each hyperparameter has its field, in the program's order, with its default, its choices and its help."""
    labels = page.locator("label", has_text="(Optional)").all_inner_texts()
    names = [label.removesuffix(" (Optional)") for label in labels]
    first = names.index("lr")
    assert names[first : first + 5] == ["lr", "epochs", "optimizer", "depth", "augment"]
    for text in ("learning rate", "passes over the data", "how weights are updated", "deepest tree"):
        expect(page.get_by_text(text, exact=True)).to_be_visible()
    expect(page.get_by_label("epochs (Optional)")).to_have_value("3")
    expect(page.get_by_role("tab", name="None")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Select optimizer").click()
    expect(page.get_by_role("option")).to_have_text(["sgd", "adam"])
    page.get_by_role("option", name="sgd").click()


def _submit(page: Page) -> None:
    page.get_by_label("epochs (Optional)").fill("4")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("button", name="Submit")).to_have_count(0)


def _see_completed(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("3 Task runs")).to_be_visible()


def _see_tasks(page: Page) -> None:
    page.get_by_role("tab", name="Task Runs").click()
    for task in ("resolve_job", "build_image", "execute_job"):
        expect(page.get_by_role("link", name=task)).to_be_visible()


def _see_artifacts(page: Page, job: str) -> None:
    page.get_by_role("tab", name="Artifacts").click()
    expect(page.get_by_role("link").filter(has_text="Job card of")).to_be_visible()
    metrics = page.get_by_role("link").filter(has_text=f"{job}-metrics")
    expect(metrics).to_contain_text("accuracy = 0.5, loss = 0.25")


def _see_metrics(page: Page, job: str) -> None:
    page.get_by_role("link").filter(has_text=f"{job}-metrics").click()
    page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$")).click()
    expect(page.get_by_role("cell", name="accuracy")).to_be_visible()
    expect(page.get_by_role("cell", name="0.5", exact=True)).to_be_visible()


async def _until_recorded(run: str) -> None:
    """Wait for the ends of its three tasks, which the server writes a moment after the run's; the page does not."""
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run)]))
    async with connect() as client:

        async def ends() -> int:
            tasks = await client.read_task_runs(flow_run_filter=mine)
            return sum(task.state is not None and task.state.is_final() for task in tasks)

        async with asyncio.timeout(LIMIT_S):
            while await ends() < 3:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.1)


async def test_a_job_is_launched_from_its_form_and_its_results_are_seen(
    road: Road, visitor: Visitor, tmp_path: Path
) -> None:
    """Log in, open the job's deployment, see its hyperparameters, change one, and see the run end with its metrics."""
    queue = await road.queue("process")
    job = _captured(road, tmp_path, queue)
    await visitor.logs_in()
    await visitor.sees(lambda page: _open_form(page, job), "2-form")
    await visitor.sees(_check_form, "3-choices")
    await visitor.sees(_submit, "4-submitted")
    road.agent("-q", queue)
    (submitted,) = [run for run in await list_runs(road.store, limit=200) if run.queue == queue]
    info = await road.end(submitted.id)
    assert (info.state, info.metrics["accuracy"]) == (RunState.COMPLETED, 0.5)
    assert re.fullmatch(f"{job}-v0-[a-z]+-[a-z]+", info.name)
    assert info.parameters == {"lr": 0.1, "epochs": 4, "optimizer": "sgd", "depth": None, "augment": False}
    await _until_recorded(info.id)
    await visitor.sees(lambda page: _see_completed(page, visitor.address(f"v2/runs/flow-run/{info.id}")), "5-completed")
    await visitor.sees(_see_tasks, "6-tasks")
    await visitor.sees(lambda page: _see_artifacts(page, job), "7-artifacts")
    await visitor.sees(lambda page: _see_metrics(page, job), "8-metrics")


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "[click](http://evil.example/)",
    "http://evil.example/bare",
    "www.evil.example",
    "a|b [c](http://evil.example/)",
    "a\\| [c](http://evil.example/)",
    "``` [c](http://evil.example/)",
    "\u202e<script>alert(1)</script>",
)


async def _artifacts(run: str) -> dict[str, Artifact]:
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
    async with connect() as client:
        return {str(artifact.type): artifact for artifact in await client.read_artifacts(artifact_filter=mine)}


def _hostile_inputs() -> Inputs:
    properties = {f"p{number}": {"type": "string", "default": ""} for number in range(len(HOSTILE))}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Inputs.model_validate(
        {"parameters_schema": schema, "options": [Option(name=name, flag=f"--{name}") for name in properties]}
    )


def _check_harmless(page: Page, url: str, text: str) -> None:
    page.goto(url)
    expect(page.get_by_text(text).first).to_be_visible()
    assert page.locator("a[href*='evil']").count() == 0
    assert page.locator("img[src='x'], img[src*='evil'], script:text('alert')").count() == 0


async def test_texts_of_others_are_only_text(road: Road, visitor: Visitor) -> None:
    """Parameters, metrics and file names with markup show as they are, in both of Prefect's UIs."""
    metrics = json.dumps(dict.fromkeys(HOSTILE, HOSTILE[0])).replace("'", "'\\''")
    plot = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    script = f"cd $LAUNCH_OUTPUT_DIR; printf %s '{metrics}' > metrics.json; echo '{plot}' > '{HOSTILE[1][:7]}<b>.svg'"
    queue = await road.queue("process")
    road.agent("-q", queue)
    values = {f"p{number}": text for number, text in enumerate(HOSTILE)}
    run = await road.submit(road.job(script, inputs=_hostile_inputs()), queue, parameters=values)
    assert (await road.end(run)).state is RunState.COMPLETED
    found = await _artifacts(run)
    await visitor.logs_in()
    shown = (("markdown", HOSTILE[1]), ("table", HOSTILE[0]), ("image", "[click]<b>.svg"))
    for (kind, text), ui in product(shown, ("v2/", "")):
        url = visitor.address(f"{ui}artifacts/artifact/{found[kind].id}")
        await visitor.sees(lambda page, url=url, text=text: _check_harmless(page, url, text), f"2-{kind}-{ui[:2]}")
    assert visitor.alarms == []
