"""Queues managed from files: `launch queue apply`, and what an agent makes of a change."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from walking import Road

from blocks import Registry
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.queue import apply_queue, pause_queue, show_queue
from launch_jobs.targets.configuration import ProcessConfiguration
from launch_jobs.targets.template import base_job_template, with_defaults

pytestmark = pytest.mark.anyio


def _apply(road: Road, **fields: object) -> subprocess.CompletedProcess[str]:
    """`launch queue apply --json` with a file of these fields."""
    file = road.home / "queue.json"
    file.write_text(json.dumps(fields))
    return _launch(road, "queue", "apply", str(file), "--json")


def _launch(road: Road, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch_jobs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=road.home)


def _name(road: Road, queue_type: str = "process") -> str:
    """The name of a queue that is deleted after the test."""
    road.queues.append(f"{queue_type}-{uuid.uuid4().hex[:8]}")
    return road.queues[-1]


async def test_a_file_makes_a_queue_then_changes_nothing_then_what_differs(road: Road) -> None:
    """What changed is told, with before and after; what the file leaves out goes back to its default."""
    name = _name(road)
    first = json.loads(_apply(road, name=name, type="process", limit=2, variables={"timeout": 60}).stdout)
    assert (first["created"], first["changes"], first["queue"]["limit"]) == (True, [], 2)
    again = json.loads(_apply(road, name=name, type="process", limit=2, variables={"timeout": 60}).stdout)
    assert (again["created"], again["changes"]) == (False, [])
    third = json.loads(_apply(road, name=name, type="process", description="Mine", variables={"timeout": 5}).stdout)
    assert third["changes"] == [
        {"what": "limit", "before": 2, "after": None},
        {"what": "description", "before": "", "after": "Mine"},
        {"what": "variables.properties.timeout.default", "before": 60, "after": 5},
    ]
    now = await show_queue(name)
    assert (now.limit, now.description) == (None, "Mine")


async def test_a_paused_queue_stays_paused(road: Road) -> None:
    """A file says what a queue is, not what it does just now."""
    name = _name(road)
    await apply_queue(name, "process")
    await pause_queue(name)
    assert (await apply_queue(name, "process", limit=1)).queue.paused


async def test_a_queue_does_not_change_its_type(road: Road) -> None:
    """Its agents and runs are of the other."""
    name = _name(road)
    await apply_queue(name, "process")
    with pytest.raises(BadInput, match="type 'launch-process' already"):
        await apply_queue(name, "docker")
    assert (await show_queue(name)).type == "process"


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"type": "process", "variables": {"memory": "1Gi"}}, 2, "unknown job variable 'memory'"),
        ({"type": "docker", "variables": {"gpus": -1}}, 2, "'gpus'"),
        ({"type": "docker", "variables": {"image": "{{ prefect.variables.x }}"}}, 3, "'image' holds a template macro"),
        ({"type": "process", "registry": "team"}, 3, "launch-process queues have no registry"),
        ({"type": "docker", "registry": "no-such-block"}, 2, "no-such-block"),
        ({"type": "slurm"}, 2, "'slurm' is no queue type"),
        ({"type": "docker", "template": {"job_configuration": {"privileged": True}, "variables": {}}}, 3, "privileged"),
    ],
)
async def test_a_wrong_file_makes_no_queue(road: Road, fields: JsonObject, code: int, told: str) -> None:
    """The error names what is wrong, in one line."""
    ended = _apply(road, name=f"never-{road.mark}", **fields)
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["exit_code"]) == (code, code)
    assert told in error["what"]
    assert "\n" not in error["what"] + error["do"]
    assert "Traceback" not in ended.stderr
    with pytest.raises(BadInput):
        await show_queue(f"never-{road.mark}")


async def test_a_registry_is_given_to_a_queue_by_file_or_option(road: Road) -> None:
    """And shown; what else the queue is stays."""
    block = f"registry-{uuid.uuid4().hex[:8]}"
    await Registry.model_validate({"address": "registry.example"}).asave(block)
    by_file, by_option = _name(road, "docker"), _name(road, "docker")
    assert json.loads(_apply(road, name=by_file, type="docker", registry=block).stdout)["created"]
    for arguments in (["create", by_option, "--type", "docker", "--registry", block], ["show", by_file]):
        assert re.search(rf"^registry +{block} *$", _launch(road, "queue", *arguments).stdout, re.MULTILINE)
    assert (await show_queue(by_option)).template == (await show_queue(by_file)).template


async def test_a_change_holds_for_the_next_claims(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A serving agent takes the new template up with its heartbeat; nobody restarts it."""
    monkeypatch.setenv("PREFECT_WORKER_HEARTBEAT_SECONDS", "1")
    name, seen = _name(road), tmp_path / "seen"
    template = base_job_template(ProcessConfiguration)
    await apply_queue(name, "process", template=with_defaults(template, {"env": {"WHO": "before"}}))
    road.agent("-q", name)
    job = road.job(f'echo "$WHO" >> {seen}')
    await road.end(await road.submit(job, name))
    await apply_queue(name, "process", template=with_defaults(template, {"env": {"WHO": "after"}}))
    while "after" not in seen.read_text():
        await road.end(await road.submit(job, name))
    assert set(seen.read_text().split()) == {"before", "after"}
