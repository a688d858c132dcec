"""The bench of the tracker's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracked_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty folder for programs, and one for journals."""
    for name in ("root", "journals"):
        (tmp_path / name).mkdir()
    return Bench((tmp_path / "root").resolve(), tmp_path / "journals")
