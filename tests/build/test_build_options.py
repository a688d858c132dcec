"""Build options from settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.build.options import build_options
from launch_jobs.errors import BadInput
from launch_jobs.settings import LaunchSettings


def test_certificates_are_read(tmp_path: Path) -> None:
    """Their content counts, not where they lie."""
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    assert build_options(LaunchSettings(ca_bundle=file)).ca_bundle_pem == "-----BEGIN CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, b"nothing", b"\xff\xfe"])
def test_certificates_that_are_none_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing, another, or a binary file."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=r"ca\.pem"):
        build_options(LaunchSettings(ca_bundle=file))


def test_the_queues_base_comes_before_the_settings() -> None:
    """The rest of the precedence is the plan's."""
    settings = LaunchSettings(base_image="settings:1", build_network="host")
    assert build_options(settings, base_image="queue:1").base_image == "queue:1"
    assert build_options(settings).base_image == "settings:1"
    assert build_options(settings).network == "host"
