"""What tests of captures stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.store.jobs import JobStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    """An empty store."""
    return open_store((tmp_path / "store").as_uri())
