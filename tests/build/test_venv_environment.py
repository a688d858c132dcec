"""Virtual environments for process queues, made by the real uv."""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
from pathlib import Path

import pytest
from build_samples import environments, law
from hypothesis import given

from launch_jobs.build.command import run
from launch_jobs.build.venv import prepare_environment, venv_digest
from launch_jobs.errors import BuildError
from launch_jobs.job import Distribution, Environment
from launch_jobs.settings import LaunchSettings

pytestmark = pytest.mark.anyio

SIX = Environment(
    python="3.11.99",
    distributions=(
        Distribution(name="own-lib", version="0.7", origin="source", url="."),
        Distribution(name="six", version="1.16.0"),
    ),
)


@pytest.fixture
def settings(tmp_path: Path) -> LaunchSettings:
    """A home of this test's own."""
    return LaunchSettings(home=tmp_path / "home")


def venvs(settings: LaunchSettings) -> list[str]:
    """What lies in the folder of virtual environments, but for locks."""
    return sorted(path.name for path in (settings.home / "venvs").iterdir() if path.suffix != ".lock")


def hold(lock: Path) -> subprocess.Popen[bytes]:
    """A process that holds a lock which its maker no longer has."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return subprocess.Popen(["sleep", "1000"], pass_fds=[file.fileno()])


async def test_the_packages_are_there_exactly(settings: LaunchSettings) -> None:
    """The version asked for, the metadata of the tree's own package, and nothing of ours."""
    folder = await prepare_environment(SIX, settings, lambda line: None)
    code = "import importlib.metadata as m; print(sorted(d.name + d.version for d in m.distributions()))"
    ended = await run([str(folder / "bin/python"), "-I", "-c", code], log=lambda line: None)
    assert ended.tail == "['own-lib0.7', 'six1.16.0']"


async def test_what_a_mac_captured_is_resolved_for_this_host(settings: LaunchSettings) -> None:
    """What only a Mac has is left out, and the log says so; the second time nothing is asked."""
    found = (("pyobjc-core", "10.3.1"), ("six", "1.16.0"))
    mac = SIX.model_copy(
        update={
            "platform": "darwin/arm64",
            "distributions": tuple(Distribution(name=name, version=version) for name, version in found),
        }
    )
    log: list[str] = []
    folder = await prepare_environment(mac, settings, log.append)

    assert sorted(one.name for one in folder.glob("lib/python3*/site-packages/*.dist-info")) == ["six-1.16.0.dist-info"]
    assert any(line.startswith("Dropped: pyobjc-core 10.3.1") for line in log)
    assert await prepare_environment(mac, settings, pytest.fail) == folder


async def test_a_second_request_makes_nothing(settings: LaunchSettings) -> None:
    """The environment is named by its content."""
    first = await prepare_environment(SIX, settings, lambda line: None)
    log: list[str] = []
    assert await prepare_environment(SIX, settings, log.append) == first
    assert log == []


async def test_requests_at_once_make_it_once(settings: LaunchSettings) -> None:
    """The others wait."""
    log: list[str] = []
    made = await asyncio.gather(*(prepare_environment(SIX, settings, log.append) for _ in range(3)))
    assert len(set(made)) == 1
    assert sum("six==1.16.0" in line for line in log) == 1


async def test_what_a_killed_one_left_is_made_again(settings: LaunchSettings) -> None:
    """Without its mark an environment is never used."""
    folder = await prepare_environment(SIX, settings, lambda line: None)
    (folder / ".launch-jobs-complete").unlink()
    leftover = folder / "leftover"
    leftover.touch()
    assert await prepare_environment(SIX, settings, lambda line: None) == folder
    assert not leftover.exists()


async def test_an_interpreter_that_vanished_is_replaced(settings: LaunchSettings) -> None:
    """A link to nowhere is no environment."""
    folder = await prepare_environment(SIX, settings, lambda line: None)
    (folder / "bin/python").unlink()
    await prepare_environment(SIX, settings, lambda line: None)
    assert (folder / "bin/python").exists()


async def test_a_cancelled_one_leaves_nothing(settings: LaunchSettings) -> None:
    """No half environment, no process: the lock is free."""
    begun = asyncio.Event()
    work = asyncio.create_task(prepare_environment(SIX, settings, lambda line: begun.set()))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert venvs(settings) == []
    with next((settings.home / "venvs").glob("*.lock")).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_one_waits_while_another_process_makes_it(settings: LaunchSettings) -> None:
    """Also when that is the uv of a killed agent, which holds the lock on."""
    folder = await prepare_environment(SIX, settings, lambda line: None)
    (folder / ".launch-jobs-complete").unlink()
    other = hold(Path(f"{folder}.lock"))
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(prepare_environment(SIX, settings, lambda line: None), 0.5)
    finally:
        other.kill()
        other.wait()
    assert await prepare_environment(SIX, settings, lambda line: None) == folder


async def test_a_missing_interpreter_is_told_with_what_there_is(settings: LaunchSettings) -> None:
    """Nothing is fetched from the network."""
    with pytest.raises(BuildError, match=r"no Python 3\.4 on this host; found: .*cpython-3\.11"):
        await prepare_environment(SIX.model_copy(update={"python": "3.4.1"}), settings, lambda line: None)
    assert venvs(settings) == []


async def test_a_package_that_does_not_exist_is_named(settings: LaunchSettings) -> None:
    """The error quotes it, and nothing half-made stays."""
    missing = Environment(python="3.11.99", distributions=(Distribution(name="six", version="99.0"),))
    with pytest.raises(BuildError, match=r"six==99\.0"):
        await prepare_environment(missing, settings, lambda line: None)
    assert venvs(settings) == []


@law
@given(environments, environments)
def test_only_equal_content_has_an_equal_name(one: Environment, other: Environment) -> None:
    """Packages and Python are in it; the platform only where packages are resolved again for this one."""
    elsewhere = one.model_copy(update={"platform": "darwin/arm64"})
    assert (venv_digest(one) == venv_digest(elsewhere)) == (not one.distributions)
    same = one.python == other.python and set(one.distributions) == set(other.distributions)
    assert (venv_digest(one) == venv_digest(other)) == same
    assert venv_digest(one) != venv_digest(one, "https://example.org/simple")
