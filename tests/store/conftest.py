"""Every kind of object keeper, empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.store import Objects
from launch_jobs.store.folder import FolderObjects
from launch_jobs.store.s3 import S3Objects
from launch_jobs.testing import MemoryObjects


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty keeper of each kind."""
    match request.param:
        case "memory":
            return MemoryObjects()
        case "folder":
            return FolderObjects(tmp_path / "store")
        case _:
            return S3Objects(request.getfixturevalue("s3").name, "team/store")
