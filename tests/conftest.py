"""Fixtures that every test may use."""

from __future__ import annotations

import pytest

pytest_plugins = ("infrastructure.plugin", "infrastructure.registry", "infrastructure.cluster")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as Prefect does."""
    return "asyncio"
