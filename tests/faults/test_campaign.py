"""The campaign itself, very short: an agent dies in the middle, the next one comes, and nothing is lost or left."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_bench import bench
from fault_campaign import play
from fault_table import FAULTS
from infrastructure.plugin import Connection

pytestmark = pytest.mark.anyio

ROUNDS = {
    "F03:place.after": "places written down, nothing made there: back to the old place in line",
    "F08:outcome.after": "ends recorded, not cleaned up: nothing is left",
}


async def test_agents_die_and_nothing_is_lost(connected: Connection, tmp_path: Path) -> None:
    """At the points at which the first campaigns found faults of ours."""
    async with bench(tmp_path / "bench", patience=3, to=connected) as made:
        for number, (name, what) in enumerate(ROUNDS.items()):
            fault = next(fault for fault in FAULTS if fault.number == name)
            played = await play(made, fault, tmp_path / f"round-{number}", 2)
            assert (played.violations, played.notes, played.runs) == ((), (), 2), what
