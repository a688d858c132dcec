"""What a run leaves in the UI, read back through the server's API."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateType
from prefect.states import Cancelled, Cancelling, Pending, Running
from road.walking import Road

from launch_jobs.artifacts import PLOT_LIMIT
from launch_jobs.capture.source import snapshot_source
from launch_jobs.client import connect
from launch_jobs.job import Entrypoint, Inputs, Job, JobVersion, Option
from launch_jobs.run import Outcome, OutputFile, Outputs, Reason, RunState

pytestmark = pytest.mark.anyio

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def _artifacts(run: str) -> dict[str, list[Artifact]]:
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run)]))
    found: dict[str, list[Artifact]] = {}
    async with connect() as client:
        for artifact in await client.read_artifacts(artifact_filter=mine):
            found.setdefault(str(artifact.type), []).append(artifact)
    return found


async def _flow_run(run: str) -> FlowRun:
    async with connect() as client:
        return await client.read_flow_run(UUID(run))


async def _states(run: str) -> list[State[object]]:
    async with connect() as client:
        return await client.read_flow_run_states(UUID(run))


async def test_a_run_that_leaves_nothing_shows_its_card_only(road: Road) -> None:
    """One call of the server for it: the card, keyless, linked to the run and to its task."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    version = road.job("true")
    run = await road.submit(version, queue)
    await road.end(run)
    found = await _artifacts(run)
    assert {kind: len(all_) for kind, all_ in found.items()} == {"markdown": 1}
    card = found["markdown"][0]
    assert (card.key, str(card.flow_run_id)) == (None, run)
    assert card.task_run_id is not None
    assert version.reference in str(card.data)
    assert f"launch submit {version.reference} \\\n  -q {queue}" in str(card.data)


async def test_metrics_and_plots_are_shown(road: Road, tmp_path: Path) -> None:
    """Metrics as a table under the job's key, a small plot embedded byte for byte, a large one named."""
    (tmp_path / "small.png").write_bytes(PNG)
    (tmp_path / "large.png").write_bytes(PNG + bytes(PLOT_LIMIT))
    script = f"cp {tmp_path}/*.png $LAUNCH_OUTPUT_DIR; cd $LAUNCH_OUTPUT_DIR; "
    script += """echo '{"accuracy": 0.5, "good": true, "note": "a [b](c)"}' > metrics.json"""
    queue = await road.queue("process")
    road.agent("-q", queue)
    run = await road.submit(road.job(script), queue)
    await road.end(run)
    found = await _artifacts(run)
    [table], [image] = found["table"], found["image"]
    assert table.key == f"script-{road.mark}-metrics"
    rows = {row["metric"]: row["value"] for row in json.loads(str(table.data))}
    assert rows == {"accuracy": 0.5, "good": "true", "note": "`a [b](c)`"}
    assert image.data == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    more = [str(artifact.data) for artifact in found["markdown"] if "More plots" in str(artifact.description)]
    assert len(more) == 1
    assert f"`large.png` ({len(PNG) + PLOT_LIMIT} bytes)" in more[0]
    assert f"launch outputs {run} outputs" in more[0]


async def test_an_adopted_run_shows_its_card_once(road: Road, tmp_path: Path) -> None:
    """The next agent finds what the dead one wrote."""
    queue = await road.queue("process")
    agent = road.agent("-q", queue)
    go = tmp_path / "go"
    run = await road.submit(road.job(f"while [ ! -e {go} ]; do sleep 0.1; done"), queue)
    while not await _artifacts(run):
        await road.until(run, lambda info: not info.state.is_final)
    agent.stop(signal.SIGKILL)
    go.touch()
    road.agent("-q", queue)
    assert (await road.end(run)).state is RunState.COMPLETED
    assert len((await _artifacts(run))["markdown"]) == 1


SHOWING = """
import asyncio, sys
from prefect import flow
from launch_jobs.artifacts import show_results
from launch_jobs.context import current_context
from launch_jobs.job import JobVersion
from launch_jobs.run import Outcome
from launch_jobs.settings import load_settings

@flow(persist_result=False)
async def showing():
    version, outcome = JobVersion.model_validate_json(sys.argv[1]), Outcome.model_validate_json(sys.argv[2])
    await show_results(current_context(None, load_settings), version, outcome)

asyncio.run(showing())
"""


async def test_what_cannot_be_shown_fails_no_flow(road: Road) -> None:
    """A plot that the store has lost is a warning."""
    lost = OutputFile(path="plot.png", size=3, digest=f"sha256:{'0' * 64}")
    outcome = Outcome(
        run="r", attempt=1, place="p", reason=Reason.EXITED, message="", ended="", outputs=Outputs(files=(lost,))
    )
    words = [sys.executable, "-c", SHOWING, road.job("true").model_dump_json(), outcome.model_dump_json()]
    said = _run(words, road.home)
    assert "Not shown in the UI: StoreError" in said
    assert "Completed()" in said


async def test_the_history_says_what_happened(road: Road, tmp_path: Path) -> None:
    """Claimed by whom, running where, and ended how; adoption reads the claim from the same history."""
    queue = await road.queue("process")
    road.agent("-q", queue)
    go = tmp_path / "go"
    run = await road.submit(road.job(f"while [ ! -e {go} ]; do sleep 0.1; done"), queue)
    info = await road.until(run, lambda info: "process" in (info.reason or ""))
    assert re.fullmatch(rf"Running in the process lj-{run.replace('-', '')}-a1 on \S+", info.reason or "")
    go.touch()
    await road.end(run)
    # Late is what the server calls a run that waits for longer than 15 s, as for an agent of a loaded machine.
    told = [(state.type.value, state.message or "") for state in await _states(run) if state.name != "Late"]
    assert [kind for kind, _ in told] == ["SCHEDULED", "PENDING", "RUNNING", "RUNNING", "COMPLETED"]
    assert told[1][1].startswith("Claimed by agent ")
    assert told[4][1] == "Exited with code 0"


async def test_a_message_that_comes_late_brings_no_cancelled_run_back(road: Road) -> None:
    """The server refuses Running of a run that is being cancelled: what we rely on when we tell where one runs."""
    run = UUID(await road.submit(road.job("true"), await road.queue("process")))
    async with connect() as client:
        for state in (Pending(), Running(), Cancelling(), Running(message="late")):
            await client.set_flow_run_state(run, state)
        assert (await client.read_flow_run(run)).state_type is StateType.CANCELLING
        await client.set_flow_run_state(run, Cancelled())


async def test_a_run_that_prefect_named_gets_a_readable_name(road: Road) -> None:
    """Made-up words are kept behind job and version; a name that somebody chose stays; both have the job's tags."""
    queue = await road.queue("process")
    version = road.job("true")
    await road.submit(version, queue)
    road.agent("-q", queue)
    async with connect() as client:
        deployment = await client.read_deployment_by_name(f"launch-job/job.{version.name}")
        for name, expected in ((None, f"{version.name}-v0-[a-z]+-[a-z]+"), ("My run 7", "My run 7")):
            made = await client.create_flow_run_from_deployment(deployment.id, name=name, tags=["mine"])
            assert set(made.tags) == {f"job:{version.name}", "version:v0", f"queue:{queue}", "mine"}
            await road.end(str(made.id))
            run = await _flow_run(str(made.id))
            assert re.fullmatch(expected, run.name)
            assert set(run.tags) == set(made.tags)


@pytest.fixture
def docker(docker_base: str, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """The base image's reference; the images of the test's own jobs are gone after it."""
    monkeypatch.setenv("LAUNCH_JOBS_BASE_IMAGE", docker_base)
    before = _docker("images", "-q", "--filter", f"label={LABEL}")
    yield docker_base
    if left := set(_docker("images", "-q", "--filter", f"label={LABEL}")) - set(before):
        _docker("rmi", "-f", *left)


LABEL = "org.launch-jobs.test=slow-build"


def _run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def _docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.split()


def _slow(road: Road, base: str) -> JobVersion:
    """A job whose image takes twelve seconds to build, in a step of its own."""
    folder = road.home / "slow"
    folder.mkdir()
    step = f"RUN sleep 12 && echo {road.mark}"  # of no other build: it would be found built
    (folder / "Dockerfile").write_text(f"FROM {base}\nLABEL {LABEL}\n{step}\nCOPY . /here\n")
    inputs = Inputs.model_validate(
        {
            "parameters_schema": {"type": "object", "properties": {"word": {"type": "string", "default": "x"}}},
            "options": [Option(name="word", flag="--word")],
        }
    )
    with snapshot_source(folder, road.store) as snapshot:
        entrypoint = Entrypoint(argv=("echo",))
        job = Job(source=snapshot.source, entrypoint=entrypoint, dockerfile="Dockerfile", inputs=inputs)
        return road.store.add(f"slow-{road.mark}", job, snapshot.origin)


async def test_a_long_build_is_told_and_its_container_can_be_made_by_hand(
    road: Road, docker: str, tmp_path: Path
) -> None:
    """The state names the step, the artifact its share; at the end it is whole, and the card's command works."""
    queue = await road.queue("docker")
    road.agent("-q", queue)
    run = await road.submit(_slow(road, docker), queue, parameters={"word": "it's"})
    info = await road.until(run, lambda info: "Building" in (info.reason or "") or info.state.is_final)
    assert re.fullmatch(r"Building the image, step \d of \d", info.reason or "")
    assert (await road.end(run)).state is RunState.COMPLETED
    found = await _artifacts(run)
    [progress], [card] = found["progress"], found["markdown"]
    assert progress.data == 100.0
    assert str(progress.description).startswith("Built")
    command = str(card.data).partition("mkdir -m 777 outputs\n")[2].partition("\n```")[0]
    words = shlex.split(command.replace("\\\n", " "))
    assert _run(words, tmp_path) == "--word=it's\n"
