"""Where all state lives on this machine, and what the settings are by default: read without pydantic."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

SOURCE_LIMIT_BYTES = 500_000_000
GIT_REMOTES = "https://* ssh://*"


def home() -> Path:
    """The folder of all state and settings: `LAUNCH_JOBS_HOME`, else the platform's data folder."""
    named = os.environ.get("LAUNCH_JOBS_HOME")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("launch-jobs"))


def connection_file(home: Path) -> Path:
    """Where a home keeps which server (and store) it uses."""
    return home / "server.json"


def connected(home: Path) -> dict[str, str]:
    """The settings that `launch connect` wrote. A file that cannot be read is told of by who connects."""
    with suppress(OSError, ValueError, AttributeError):
        store = json.loads(connection_file(home).read_text()).get("store")
        if isinstance(store, str):
            return {"store": store}
    return {}
