"""From attempt to container body and process spec: golden files, order of variables, reserved names, hostile values."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.render import Attempt, StagedDataset, container_body, render_docker, render_process
from launch_jobs.targets.template import base_job_template

GOLDEN = Path(__file__).parent / "golden"

ATTEMPT = Attempt(
    run_id="0199d3a1-7c5e-7bb2-9d1e-0123456789ab",
    number=2,
    job="digits@sha256:" + "ab" * 32,
    queue="gpu",
    image="sha256:" + "cd" * 32,
    command=("python", "train.py", "--lr", "0.1"),
    directory="/work/src",
    root="/work",
    env={"SEED": "7", "MODE": "submitted"},
    parameters={"lr": 0.1, "name": "ä"},
    collect=("src/model.bin",),
    datasets=(
        StagedDataset("model", "/agent/staging/model", "model.bin"),
        StagedDataset("Corpus_2", "/agent/staging/Corpus_2"),
    ),
)
PLAIN = DockerConfiguration(env={"MODE": "queue", "A": "1"})
FULL = DockerConfiguration(cpus=1.5, memory="2Gi", shm_size="512Mi", gpus=2, network="none", stop_grace_seconds=30)


def _check_golden(name: str, value: JsonValue) -> None:
    """Compare with a file of tests/targets/golden; LAUNCH_JOBS_UPDATE_GOLDEN=1 writes it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("LAUNCH_JOBS_UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert (GOLDEN / name).read_text() == text


def test_container_body_plain() -> None:
    """A job with nothing asked for gets exactly this body."""
    _check_golden("container-plain.json", container_body(render_docker(ATTEMPT, PLAIN)))


def test_container_body_with_all_limits() -> None:
    """Limits, GPUs and no network give exactly this body."""
    _check_golden("container-limits.json", container_body(render_docker(ATTEMPT, FULL)))


def test_container_body_of_ready_image() -> None:
    """A ready image without command keeps its own entrypoint and working directory."""
    attempt = replace(ATTEMPT, image="busybox:1", command=(), directory=None, root=None, collect=())
    body = container_body(render_docker(attempt, PLAIN))
    _check_golden("container-ready-image.json", body)
    assert not {"Entrypoint", "Cmd", "WorkingDir", "User"} & body.keys()


def test_process_spec() -> None:
    """A process attempt gives exactly this spec."""
    spec = render_process(replace(ATTEMPT, image="/venv"), ProcessConfiguration(), "/home/runs/lj-1-a2")
    _check_golden("process-spec.json", spec.model_dump(mode="json"))


def test_base_job_templates() -> None:
    """The queue types offer exactly these job variables."""
    _check_golden("template-docker.json", base_job_template(DockerConfiguration))
    _check_golden("template-process.json", base_job_template(ProcessConfiguration))


def test_submitters_variables_win_over_the_queues() -> None:
    """The queue's variables are defaults; ours cannot be had."""
    env = render_docker(ATTEMPT, PLAIN).env
    assert (env["A"], env["MODE"], env["SEED"]) == ("1", "submitted", "7")
    assert json.loads(env["LAUNCH_PARAMETERS"]) == {"lr": 0.1, "name": "ä"}


def test_rendering_is_deterministic() -> None:
    """The order in which variables were given does not show in the body."""
    turned = replace(ATTEMPT, env=dict(reversed(ATTEMPT.env.items())))
    assert container_body(render_docker(turned, PLAIN)) == container_body(render_docker(ATTEMPT, PLAIN))


@pytest.mark.parametrize(
    "name",
    [
        *("LAUNCH_RUN_ID", "LAUNCH_", "LAUNCH_JOBS_HOME", "PREFECT_API_KEY", "PREFECT__FLOW_RUN_ID"),
        *("LD_PRELOAD", "LD_AUDIT", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    ],
)
def test_reserved_variable_is_refused(name: str) -> None:
    """Names that are ours, or that reach beyond the program, are refused by name, from queue and submitter."""
    with pytest.raises(Refused, match=name):
        render_docker(replace(ATTEMPT, env={name: "x"}), PLAIN)
    with pytest.raises(Refused, match=name):
        render_docker(ATTEMPT, DockerConfiguration(env={name: "x"}))


def test_devices_cannot_be_chosen_over_the_assigned_ones() -> None:
    """CUDA_VISIBLE_DEVICES is refused where GPUs are assigned, and fine where there are none."""
    attempt = replace(ATTEMPT, env={"CUDA_VISIBLE_DEVICES": ""})
    with pytest.raises(Refused, match="CUDA_VISIBLE_DEVICES"):
        render_docker(attempt, FULL)
    assert render_docker(attempt, PLAIN).env["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("name", ["PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AWS_REGION", "_", "a1"])
def test_ordinary_variable_is_taken(name: str) -> None:
    """What only concerns the program is its own business."""
    assert render_docker(replace(ATTEMPT, env={name: "x"}), PLAIN).env[name] == "x"


@pytest.mark.parametrize("name", ["", "A=B", "A B", "A\0", "1A", "A-B", "Ä", "A\n", "{{ x }}"])
def test_variable_name_that_is_none_is_bad_input(name: str) -> None:
    """Only identifiers name variables."""
    with pytest.raises(BadInput, match="cannot name"):
        render_docker(replace(ATTEMPT, env={name: "x"}), PLAIN)


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A": "x\0y"}},
        {"env": {"A": "x" * 200_000}},
        {"env": {"A": "\ud800"}},
        {"env": {f"A{i}": "x" * 1000 for i in range(5000)}},
        {"command": ("python", "a\0b")},
        {"command": ("python", "x" * 200_000)},
        {"command": ("", "x")},
        {"parameters": {"x": "y" * 200_000}},
        {"collect": ("../etc",)},
        {"collect": ("/etc/passwd",)},
        {"collect": ("a/../../b",)},
        {"collect": (".",)},
        {"collect": ("",)},
    ],
)
def test_what_no_program_can_get_is_bad_input(changes: dict[str, object]) -> None:
    """NUL, text that is no Unicode, more than execve takes, paths out of the tree: said before anything is made."""
    attempt = Attempt(**(_fields(ATTEMPT) | changes))  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput) as caught:
        render_docker(attempt, PLAIN)
    assert len(str(caught.value)) < 400


def _fields(attempt: Attempt) -> dict[str, object]:
    return {name: getattr(attempt, name) for name in Attempt.__dataclass_fields__}


@pytest.mark.parametrize("changes", [{"command": ()}, {"root": None}])
def test_process_queue_runs_no_ready_image(changes: dict[str, object]) -> None:
    """A process needs a command and a source tree."""
    attempt = Attempt(**(_fields(ATTEMPT) | changes))  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="process queue"):
        render_process(attempt, ProcessConfiguration(), "/runs/x")


_WORDS = st.text(max_size=20)


@settings(deadline=None)
@given(env=st.dictionaries(_WORDS, _WORDS, max_size=5), argv=st.lists(_WORDS, max_size=5))
def test_body_is_hardened_whatever_is_submitted(env: dict[str, str], argv: list[str]) -> None:
    """Values change Env and Entrypoint to exactly themselves, or are refused; never the host configuration."""
    hardened = container_body(render_docker(ATTEMPT, PLAIN))["HostConfig"]
    try:
        body = container_body(render_docker(replace(ATTEMPT, env=env, command=tuple(argv)), PLAIN))
    except LaunchError:
        return
    assert body["HostConfig"] == hardened
    assert body.get("Entrypoint", []) == argv
    sent = cast("list[str]", body["Env"])
    assert {f"{name}={value}" for name, value in env.items()} <= set(sent)
    assert len(sent) == len({line.partition("=")[0] for line in sent})
    assert cast("JsonObject", json.loads(json.dumps(body))) == body
