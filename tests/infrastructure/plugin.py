"""What tests stand on: a base image, a Prefect server, and one line at the end for every part that was missing.

Loaded by `pytest_plugins` in tests/conftest.py. A missing part skips its tests; with CI=true it fails them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import NoReturn

import pytest

from launch_jobs import engine
from launch_jobs.errors import LaunchError
from launch_jobs.local.connection import Connection, client_environment
from launch_jobs.local.lifecycle import down, up
from launch_jobs.settings import LaunchSettings

BASE_IMAGE = "launch-jobs-base:bookworm"
"""Made by scripts/docker-base."""

_MISSING = "missing part: "
_SHARED = "LAUNCH_JOBS_TEST_SHARED"


def missing(part: str) -> NoReturn:
    """Skip the test because `part` is not on this machine; in CI, where everything must run, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(_MISSING + part, pytrace=False)
    pytest.skip(_MISSING + part)


@pytest.fixture(scope="session")
def docker_base() -> str:
    """Reference of a base image that the Docker Engine has."""
    reference = os.environ.get("LAUNCH_JOBS_BASE_IMAGE", BASE_IMAGE)
    try:
        client = engine.connect()
    except LaunchError as error:
        missing(f"Docker: {error}")
    try:
        with engine.errors():
            client.inspect_image(reference)
    except LaunchError:
        missing(f"base image {reference}: make it with scripts/docker-base, or name another by LAUNCH_JOBS_BASE_IMAGE")
    finally:
        client.close()
    return reference


@pytest.fixture(scope="session")
def prefect_server() -> Connection:
    """A running Prefect server, one for all test processes: give everything in it a name of your own."""
    shared = Path(os.environ[_SHARED])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_PROFILES_PATH", str(shared / "profiles.toml"))
        return up(_shared_settings(shared), say=print).connection


@pytest.fixture
def connected(prefect_server: Connection, monkeypatch: pytest.MonkeyPatch) -> Generator[Connection]:
    """This process and its children talk to `prefect_server`."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    for name, value in client_environment(prefect_server).items():
        monkeypatch.setenv(name, value)
    auth = prefect_server.auth_string
    with temporary_settings({PREFECT_API_URL: prefect_server.api_url, PREFECT_API_AUTH_STRING: auth}):
        yield prefect_server


def _shared_settings(shared: Path) -> LaunchSettings:
    return LaunchSettings(home=shared / "home", port=0)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of the shared server; xdist's workers inherit it."""
    if not _is_worker(config):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="lj-test-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the shared server down, after the last worker."""
    if _is_worker(config) or _SHARED not in os.environ:
        return
    shared = Path(os.environ.pop(_SHARED))
    down(_shared_settings(shared), say=print)
    shutil.rmtree(shared)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per missing part."""
    parts: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        _, found, part = report.longreprtext.removesuffix("')").partition(_MISSING)
        if found:
            parts[part] += 1
    for part, count in sorted(parts.items()):
        terminalreporter.write_line(f"not run: {count} tests: {part}", yellow=True)
