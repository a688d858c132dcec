"""A job captured on another platform: resolved again, with the difference said."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from launch_jobs.build.resolution import Resolution, Resolver, is_foreign, kept_resolution, resolve_for
from launch_jobs.errors import BadInput, BuildError
from launch_jobs.job import Distribution, Environment

RESOLVER = Resolver((sys.executable, "-m", "uv"), {**os.environ, "UV_SYSTEM_CERTS": "1"}, None)
HASH = "sha256:" + "a" * 64


def captured(platform: str, *pins: str) -> Environment:
    """An environment of exact versions, captured on a platform."""
    found = (pin.partition("==") for pin in pins)
    return Environment(
        python="3.11.9",
        platform=platform,
        distributions=tuple(Distribution(name=name, version=version) for name, _, version in found),
    )


def resolved(environment: Environment, platform: str = "linux/amd64") -> Resolution:
    """The environment for a platform."""
    return asyncio.run(resolve_for(environment, platform, RESOLVER))


def test_a_mac_environment_loses_what_only_a_mac_has() -> None:
    """What has no wheel here goes, what is only required there goes, what is needed here comes, pins stay."""
    pins = ("appnope==0.1.4", "pyobjc-core==10.3.1", "six==1.17.0", "sqlalchemy==2.0.30", "typing-extensions==4.12.2")
    found = resolved(captured("darwin/arm64", *pins))

    versions = {one.name: one.version for one in found.environment.distributions}
    assert versions.pop("greenlet")
    kept = [pin.partition("==") for pin in pins if "pyobjc" not in pin]
    assert versions == {name: version for name, _, version in kept}
    assert found.environment.platform == "linux/amd64"
    assert found.changes[0] == "Captured on darwin/arm64, resolved again for linux/amd64."
    assert [line.split()[:2] for line in found.changes[1:]] == [["Dropped:", "pyobjc-core"], ["Added:", "greenlet"]]


def test_what_another_package_required_only_there_is_dropped() -> None:
    """click wants colorama on Windows alone."""
    found = resolved(captured("windows/amd64", "click==8.1.7", "colorama==0.4.6"), "linux/arm64")

    assert [one.name for one in found.environment.distributions] == ["click"]
    assert any(line.startswith("Dropped: colorama 0.4.6") for line in found.changes)


def test_what_was_built_from_source_stays_pinned() -> None:
    """A package without any wheel was built where it ran, and can be built in the image."""
    found = resolved(captured("darwin/arm64", "antlr4-python3-runtime==4.9.3", "six==1.17.0"))

    assert [one.version for one in found.environment.distributions] == ["4.9.3", "1.17.0"]


def test_a_package_compiled_there_is_refused_by_name() -> None:
    """No index has it for the other platform."""
    wheel = Distribution(name="own", version="1", origin="wheel", url="own-1-cp311-cp311-macosx.whl", hashes=(HASH,))

    with pytest.raises(BadInput, match=r"own was compiled on darwin/arm64.*queue on darwin/arm64"):
        resolved(Environment(python="3.11.9", platform="darwin/arm64", distributions=(wheel,)))


def test_an_unknown_platform_is_refused_with_the_known_ones() -> None:
    """uv has no wheels for it."""
    with pytest.raises(BuildError, match=r"linux/s390x.*linux/amd64"):
        resolved(captured("darwin/arm64", "six==1.17.0"), "linux/s390x")


def test_the_answer_is_kept(tmp_path: Path) -> None:
    """The second time nothing is asked: the same job gives the same image."""
    environment = captured("darwin/arm64", "six==1.17.0")
    first = asyncio.run(kept_resolution(environment, "linux/amd64", RESOLVER, tmp_path))
    dead = Resolver(("/bin/false",), {}, None)

    assert asyncio.run(kept_resolution(environment, "linux/amd64", dead, tmp_path)) == first


def test_only_another_platform_is_foreign() -> None:
    """The same platform, and what is not Python's, stays as it was captured."""
    assert is_foreign(captured("linux/arm64", "six==1.17.0"), "linux/amd64")
    assert not is_foreign(captured("linux/amd64", "six==1.17.0"), "linux/amd64")
    assert not is_foreign(Environment(platform="darwin/arm64"), "linux/amd64")


@pytest.mark.parametrize(
    "odd",
    [
        Distribution(name="six\n-r /etc/passwd", version="1"),
        Distribution(name='six = {path = "/"}\n[tool.uv]\nx', version="1", index="https://x/cpu"),
        Distribution(name="six", version="1 @ git+https://example.com/evil"),
        Distribution(name="six", version="1", extras=("x]\n--index-url https://example.com",)),
    ],
)
def test_a_job_of_somebody_else_cannot_steer_the_resolver(odd: Distribution) -> None:
    """It runs on the agent's own host, where its files are read as they stand."""
    environment = Environment(python="3.11.9", platform="darwin/arm64", distributions=(odd,))
    with pytest.raises(BadInput, match=r"no package|no extra"):
        resolved(environment)
