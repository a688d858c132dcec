"""The campaign itself, very short: an agent dies in the middle, the next one comes, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_bench import bench
from fault_campaign import play
from fault_table import FAULTS
from infrastructure.plugin import Connection

pytestmark = pytest.mark.anyio


async def test_an_agent_dies_with_places_written_down(connected: Connection, tmp_path: Path) -> None:
    """Runs whose container or process was not made yet go back to their place; the others are adopted."""
    fault = next(fault for fault in FAULTS if fault.number == "F03:place.after")
    async with bench(tmp_path / "bench", patience=3, to=connected) as made:
        played = await play(made, fault, tmp_path / "round", 3)
    assert (played.violations, played.notes, played.runs) == ((), (), 3)
