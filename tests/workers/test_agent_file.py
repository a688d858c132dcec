"""The agent's own file: whose it must be, what is wrong with it, what it grants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launch_jobs.agent_file import AgentFile, check_images, load_agent_file
from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JsonObject

FULL = """
max_jobs = 4
devices = ["gpu:0", "gpu:GPU-8f1d"]
builder = "none"
registry = "team"

[allow]
mounts = ["/data"]
read_only_mounts = ["/datasets"]
devices = ["/dev/fuse"]
capabilities = ["SYS_PTRACE"]

[secrets.hf-token]
value = "canary-value"
queues = ["gpu", "cpu"]

[secrets.db]
command = ["vault", "read", "db"]
timeout = 5
queues = ["gpu"]
"""


def _file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_file_nothing_is_granted(tmp_path: Path) -> None:
    """The default of every grant is no; a file that was named must be there."""
    found = load_agent_file(tmp_path / "agent.toml")
    assert found == AgentFile()
    assert not any(_leaves(found.allow.model_dump(mode="json")))
    with pytest.raises(BadInput, match="There is no"):
        load_agent_file(tmp_path / "agent.toml", must_exist=True)


def _leaves(values: JsonObject) -> Iterator[object]:
    """What a model holds, and the models in it."""
    for value in values.values():
        yield from _leaves(value) if isinstance(value, dict) else (value,)


def test_a_whole_file(tmp_path: Path) -> None:
    """Every key arrives typed, and the value of a secret shows in no text of it."""
    found = load_agent_file(_file(tmp_path, FULL))
    assert (found.max_jobs, found.builder, found.registry) == (4, "none", "team")
    assert (found.allow.mounts, found.allow.privileged) == (("/data",), False)
    assert found.secrets["db"].command == ("vault", "read", "db")
    assert "canary-value" not in f"{found!r} {found} {found.model_dump_json()}"


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o640, 0o644, 0o666, 0o601])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """The message holds the command that mends it."""
    path = _file(tmp_path, "", mode)
    with pytest.raises(Refused, match=f"chmod 600 {path}"):
        load_agent_file(path)
    path.chmod(0o600)
    assert load_agent_file(path) == AgentFile()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_jobs = 1\nmax_jobs = 2\n", "line 2"),
        ("a = [", "is no TOML file"),
        ("max_job = 1", "max_job: Extra"),
        ("max_jobs = 0", "max_jobs"),
        ("[allow]\nprivilege = true", "allow.privilege"),
        ('[allow]\nmounts = ["data"]', "allow.mounts.0: .*absolute"),
        ('[allow]\nmounts = ["/data/../etc"]', "allow.mounts.0"),
        ('[allow]\ncapabilities = ["sys_admin"]', "allow.capabilities.0"),
        ('devices = ["cuda:0"]', "devices.0"),
        ('builder = "kaniko"', "builder"),
        ('[secrets.a]\nvalue = "canary"', "secrets.a.queues"),
        ('[secrets.a]\nqueues = ["q"]', "secrets.a: .*exactly one"),
        ('[secrets.a]\nvalue = "canary"\nfile = "/x"\nqueues = ["q"]', "secrets.a: .*exactly one"),
        ('[secrets.a]\nfile = "x"\nqueues = ["q"]', "absolute"),
        ('[secrets.a]\ncommand = "canary"\nqueues = ["q"]', "secrets.a.command"),
        ('[secrets.a]\nvalue = "canary"\nqueues = []', "secrets.a.queues"),
        ('[secrets."a/b"]\nvalue = "canary"\nqueues = ["q"]', "secrets"),
        ('[secrets.a]\nvalue = ["canary"]\nqueues = ["q"]', "secrets.a.value"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_without_values(tmp_path: Path, text: str, told: str) -> None:
    """Where it is wrong, and never what was written there."""
    with pytest.raises(BadInput, match=told) as caught:
        load_agent_file(_file(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_registry_of_queue_and_host() -> None:
    """A queue that names none takes the host's; another one is refused; without a rule any is right."""
    for registry in (None, "team"):
        check_images(AgentFile(registry="team"), registry, is_built=True)
    check_images(AgentFile(), "other", is_built=True)
    with pytest.raises(Refused, match=r"'other' is not this host's, 'team'"):
        check_images(AgentFile(registry="team"), "other", is_built=False)


def test_a_host_that_builds_nothing() -> None:
    """Ready images run; what would have to be built is refused."""
    check_images(AgentFile(builder="none"), None, is_built=False)
    with pytest.raises(Refused, match="builds no images"):
        check_images(AgentFile(builder="none"), None, is_built=True)


def test_no_file_but_something_else(tmp_path: Path) -> None:
    """A folder, and bytes that are no text, are told as errors of ours."""
    (tmp_path / "folder").mkdir(mode=0o700)
    path = _file(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    for each in (tmp_path / "folder", path):
        with pytest.raises(LaunchError):
            load_agent_file(each)
