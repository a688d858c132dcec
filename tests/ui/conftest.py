"""Gives the road's fixtures, and a browser, to the tests of the UI."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from browsing import CHROMIUM, Visitor, screenshot_folder
from infrastructure.plugin import missing
from road.walking import road, settings_here

from launch_jobs.local.connection import Connection

__all__ = ["road", "settings_here"]


@pytest.fixture
def visitor(connected: Connection, request: pytest.FixtureRequest) -> Generator[Visitor]:
    """Someone with a browser, who knows the server's address and password."""
    if CHROMIUM is None:
        missing("chromium: install Debian's package of that name (scripts/system-packages)")
    folder = screenshot_folder() / re.sub("[^a-z0-9]+", "-", str(request.node.name)).strip("-")  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - pytest's node is untyped
    with Visitor(connected, folder) as someone:
        yield someone
