"""A process queue isolates nothing, so its agent serves this machine's own server only."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from launch_jobs.errors import Refused
from launch_jobs.workers import ProcessWorker

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["192.0.2.1", "prefect.example.org", "[2001:db8::1]"])
async def test_a_server_elsewhere_is_refused(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the server before the refusal."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path))
    with (
        temporary_settings({PREFECT_API_URL: f"http://{host}:4200/api"}),
        pytest.raises(Refused, match="isolates nothing"),
    ):
        await ProcessWorker(work_pool_name="pool").setup()
