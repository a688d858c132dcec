"""How an operator's values and a machine's own come together; no server is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from launch_jobs.configured import store_access, with_agent_host
from launch_jobs.local.connection import remember
from launch_jobs.local.remote import Credential, remote
from launch_jobs.operator_blocks import AgentHostFields, JobStoreFields
from launch_jobs.settings import LaunchSettings, load_settings
from launch_jobs.store.access import S3Access
from launch_jobs.workers.slots import Slots


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that `load_settings` finds, without settings in the environment."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path))
    monkeypatch.delenv("LAUNCH_JOBS_STORE", raising=False)
    return tmp_path


def test_an_agent_host_fills_only_what_the_machine_leaves_open(tmp_path: Path) -> None:
    """The nearer rule wins."""
    own = LaunchSettings(home=tmp_path, base_image="mine", package_index=None, build_network=None)
    filled = with_agent_host(
        own, AgentHostFields(base_image="theirs", package_index="https://index", docker_host="gpu")
    )
    assert (filled.base_image, filled.package_index, filled.docker_host) == ("mine", "https://index", "gpu")
    assert (filled.build_network, filled.home) == (None, tmp_path)


@pytest.mark.parametrize(
    ("own", "theirs", "limit"), [(None, None, None), (3, None, 3), (None, 2, 2), (3, 2, 2), (1, 2, 1)]
)
def test_of_two_limits_the_smaller_counts(own: int | None, theirs: int | None, limit: int | None) -> None:
    """Of settings and block, and of that and what the command line says."""
    settings = with_agent_host(LaunchSettings(max_jobs=own), AgentHostFields(max_jobs=theirs))
    assert settings.max_jobs == limit
    slots = Slots(own)
    slots.restrict(theirs)
    assert slots.limit == limit


def test_a_store_block_without_access_leaves_all_to_boto3() -> None:
    """So that an agent's own role counts."""
    assert store_access(JobStoreFields(url="s3://bucket")) is None
    fields = JobStoreFields.model_validate({"url": "s3://b", "access_key_id": "me", "secret_access_key": "hidden"})
    access = store_access(fields)
    assert access == S3Access(access_key_id="me", secret_access_key="hidden")
    assert "hidden" not in repr(access)


def test_the_connections_store_comes_after_environment_and_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, then settings.toml, then what `launch connect` wrote."""
    remember(load_settings(), replace(remote("https://server/api", Credential("a:b")), store="s3://c/d"))
    assert load_settings().store_url == "s3://c/d"
    (home / "settings.toml").write_text('store = "s3://file/x"\n')
    assert load_settings().store_url == "s3://file/x"
    monkeypatch.setenv("LAUNCH_JOBS_STORE", "s3://environment/x")
    assert load_settings().store_url == "s3://environment/x"


@pytest.mark.parametrize("content", ["", "{", "[]", "7", json.dumps({"store": 7}), json.dumps({"store": None})])
def test_a_connection_without_a_store_leaves_the_homes(home: Path, content: str) -> None:
    """A broken file is told of by who connects."""
    (home / "server.json").write_text(content)
    assert load_settings().store_url == (home / "store").as_uri()
