"""What is asked of a cluster for a build, and how its words are read."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from launch_jobs.agent_file import load_agent_file
from launch_jobs.build.kubernetes_manifest import ImageBuild, Trust, account_secret, build_job
from launch_jobs.build.kubernetes_options import ClusterBuilder
from launch_jobs.build.kubernetes_words import failure, is_disrupted, told_step, why_waiting
from launch_jobs.build.progress import read_step
from launch_jobs.engine import Login
from launch_jobs.errors import BadInput
from launch_jobs.names import ImageRef

BUILD = ImageBuild(
    tag="launch-jobs/env:1",
    target=ImageRef("reg.example/env", "f" * 64),
    base=ImageRef("docker.io/library/python", "", "sha256:" + "b" * 64),
    base_name="python:3.11-slim",
)
OPTIONS = ClusterBuilder.model_validate({"image": "builder:1", "secrets": {"pip": "pip-conf/token"}, "memory": "1Gi"})


def _pod(options: ClusterBuilder = OPTIONS) -> dict[str, Any]:
    job: Any = build_job(BUILD, "builds", options)
    return job["spec"]["template"]["spec"]


def test_the_container_that_runs_users_code_has_no_account() -> None:
    """Nor a token; the others have no build secret, and are restricted."""
    pod = _pod()
    fetch, build = pod["initContainers"]
    [push] = pod["containers"]
    mounted = {one["name"]: {mount["name"] for mount in one["volumeMounts"]} for one in (fetch, build, push)}
    with_account = {"work", "home", "account"}
    assert mounted == {"fetch": with_account, "build": {"work", "secrets"}, "push": with_account}
    assert pod["automountServiceAccountToken"] is False
    assert build["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}
    for one in (fetch, push):
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["securityContext"]["allowPrivilegeEscalation"] is False


def test_one_image_has_one_job_wherever_it_is_asked_for() -> None:
    """Its name tells what is pushed where."""
    assert BUILD.name == ImageBuild(BUILD.tag, BUILD.target, None, "").name
    assert BUILD.name != ImageBuild(BUILD.tag, ImageRef("other.example/env", "f" * 64), None, "").name
    assert BUILD.name.startswith("lb-env-")
    assert len(BUILD.name) < 64 - len("-xxxxx")


def test_a_profile_of_the_nodes_takes_the_place_of_none() -> None:
    """Where the namespace enforces one."""
    pod = _pod(OPTIONS.model_copy(update={"seccomp_profile": "profiles/build.json"}))
    profile = pod["initContainers"][1]["securityContext"]["seccompProfile"]
    assert profile == {"type": "Localhost", "localhostProfile": "profiles/build.json"}


def test_the_account_goes_with_its_job() -> None:
    """As containers' own tools read it."""
    made: Any = {"metadata": {"name": "lb-env-1", "namespace": "builds", "uid": "u"}}
    secret: Any = account_secret(made, Trust((Login("me", "word", "https://index.docker.io/v1/"),)))
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u"
    told = json.loads(b64decode(secret["data"]["auth.json"]))
    assert b64decode(told["auths"]["docker.io"]["auth"]) == b"me:word"


@pytest.mark.parametrize(
    ("line", "number", "stage"),
    [("STEP 2/5: RUN x", 2, ""), ("[1/2] STEP 3/4: RUN x", 3, "stage-1")],
)
def test_steps_are_told_as_other_builders_do(line: str, number: int, stage: str) -> None:
    """So that progress is read from them."""
    told, step = told_step(line)
    begun = read_step(told)
    assert begun is not None
    assert (begun.number, begun.stage, step) == (number, stage, "RUN x")


def _state(name: str, **state: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"initContainerStatuses": [{"name": name, "state": state}]}}


def test_ends_are_told_by_their_cause() -> None:
    """Memory, time, a base image that is not there; a disruption is no failure of the build."""
    memory = _state("build", terminated={"exitCode": 137, "reason": "OOMKilled"})
    assert "more memory" in str(failure("t", {}, memory, "RUN x", ""))
    assert "time limit" in str(failure("t", {"reason": "DeadlineExceeded"}, None, "", ""))
    assert "base image" in str(failure("t", {}, _state("fetch", terminated={"exitCode": 1}), "", "the last line"))
    pod = _state("build", running={})
    assert not is_disrupted(pod)
    pod["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert is_disrupted(pod)


def test_a_builder_that_cannot_be_pulled_is_told() -> None:
    """A container that is just made is not."""
    assert not why_waiting(_state("fetch", waiting={"reason": "ContainerCreating"}))
    ill = _state("fetch", waiting={"reason": "ImagePullBackOff", "message": "no such image"})
    assert why_waiting(ill) == "ImagePullBackOff: no such image"


def test_an_agent_file_has_to_name_the_builders_image(tmp_path: Path) -> None:
    """Before any run is claimed."""
    file = tmp_path / "agent.toml"
    file.touch(mode=0o600)
    file.write_text('builder = "kubernetes"\n')
    with pytest.raises(BadInput, match=r"needs the table \[kubernetes_builder\]"):
        load_agent_file(file)
    file.write_text('builder = "kubernetes"\n[kubernetes_builder]\nimage = "b:1"\n')
    found = load_agent_file(file).kubernetes_builder
    assert found is not None
    assert found.image == "b:1"
