"""What tests stand on: a base image, a Prefect server, and one line at the end for every part that was missing.

Loaded by `pytest_plugins` in tests/conftest.py. A missing part skips its tests; with CI=true it fails them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from filelock import FileLock

from launch_jobs import engine
from launch_jobs.errors import LaunchError
from launch_jobs.local.connection import Connection, client_environment
from launch_jobs.local.lifecycle import down, up
from launch_jobs.settings import LaunchSettings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BASE_IMAGE = "launch-jobs-base:bookworm"
"""Made by scripts/docker-base."""

_FIRST = (
    "pipeline",
    "howto",
    "prefect_ui",
    "run_artifacts",
    "docker_queue",
    "registry_queue",
    "docker_builder",
    "wheel",
)
_LAST = frozenset(["data", "execution", "portable", "store", "workers"])
"""Files of tests that take minutes, and folders whose files take seconds."""

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


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket of one test's own.

    Attributes:
        endpoint: URL of the server.
        name: of the bucket.
        client: boto3's, to look behind the store's back.
    """

    endpoint: str
    name: str
    client: S3Client

    @property
    def url(self) -> str:
        """URL of a job store in it."""
        return f"s3://{self.name}/store"


@pytest.fixture(scope="session")
def s3_server() -> str:
    """URL of a running S3 server (moto's), one for all test processes."""
    shared = Path(os.environ[_SHARED])
    address = shared / "s3-address"
    with FileLock(shared / "s3-lock"):
        if not address.exists():
            command = [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(address)]
            with (shared / "s3-log").open("wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            (shared / "s3-pid").write_text(str(process.pid))
            deadline = time.monotonic() + 60
            while not address.exists():
                assert process.poll() is None and time.monotonic() < deadline, (shared / "s3-log").read_text()
                time.sleep(0.05)
            process.returncode = 0  # it outlives this test process: `pytest_unconfigure` ends it
    return address.read_text()


_ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Generator[S3Client]:
    """A client of the S3 server that no test's environment changes."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        for name, value in _ACCOUNT.items():
            patch.setenv(name, value)
        client = boto3.Session().client("s3", endpoint_url=s3_server)  # pyright: ignore[reportUnknownMemberType] # stubs of other services
    yield client
    client.close()


@pytest.fixture
def s3(s3_server: str, s3_client: S3Client, monkeypatch: pytest.MonkeyPatch) -> Generator[Bucket]:
    """An empty bucket, and an environment in which boto3 (ours, too) finds it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (_ACCOUNT | {"AWS_ENDPOINT_URL_S3": s3_server, "AWS_EC2_METADATA_DISABLED": "true"}).items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(s3_server, f"bucket-{uuid.uuid4().hex[:12]}", s3_client)
    s3_client.create_bucket(Bucket=bucket.name)
    yield bucket
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        for found in page.get("Contents", []):
            s3_client.delete_object(Bucket=bucket.name, Key=found.get("Key", ""))


def _shared_settings(shared: Path) -> LaunchSettings:
    return LaunchSettings(home=shared / "home", port=0)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of the shared server; xdist's workers inherit it."""
    if not _is_worker(config):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="lj-test-")


@pytest.hookimpl(trylast=True)  # after pytest-randomly, whose order of the files stays but for this
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first and quick ones last: else one worker is left with a long one, and the others with nothing."""

    def place(item: pytest.Item) -> int:
        return (item.path.parent.name in _LAST) - (item.path.stem.removeprefix("test_") in _FIRST)

    items.sort(key=place)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the shared server down, after the last worker."""
    if _is_worker(config) or _SHARED not in os.environ:
        return
    shared = Path(os.environ.pop(_SHARED))
    if (shared / "s3-pid").exists():
        os.kill(int((shared / "s3-pid").read_text()), signal.SIGKILL)
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
