"""Limits are hard and the order is the server's, however many agents claim at the same moment."""

from __future__ import annotations

import pytest
from claim_races import race
from infrastructure.plugin import Connection

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("limit", [1, 2])
async def test_eight_claimers_never_exceed_a_limit(connected: Connection, limit: int) -> None:
    """Not once; no run is claimed for good before one that was submitted earlier; and all of them get through."""
    del connected
    result = await race(limit, 8)
    assert len(result.spans) == len(result.runs)
    assert result.most_at_once <= limit
    assert result.inversions == 0
