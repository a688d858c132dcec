"""The few settings that a program waits for before it starts: read without pydantic, which takes its time."""

from __future__ import annotations

import os
from dataclasses import dataclass

from launch_jobs.home import GIT_REMOTES, SOURCE_LIMIT_BYTES, connected, home

_PREFIX = "LAUNCH_JOBS_"


@dataclass(frozen=True, slots=True)
class Basics:
    """The settings that count before a tracked program starts, as `LaunchSettings` has them.

    Attributes:
        store_url: the job store.
        source_limit_bytes: most bytes of source that one job carries.
        git_remotes: remotes to fetch from.
        git_credentials: the block with an account for a git host.
    """

    store_url: str
    source_limit_bytes: int = SOURCE_LIMIT_BYTES
    git_remotes: str = GIT_REMOTES
    git_credentials: str | None = None


def basics() -> Basics:
    """The few settings of this process. All of them are read and checked where any is set but home and store.

    Raises:
        BadInput: as `load_settings`.
    """
    if not _is_plain():
        from launch_jobs.settings import load_settings

        known = load_settings()
        return Basics(known.store_url, known.source_limit_bytes, known.git_remotes, known.git_credentials)
    here = home()
    store = os.environ.get("LAUNCH_JOBS_STORE", connected(here).get("store"))
    return Basics(store or (here / "store").as_uri())


def _is_plain() -> bool:
    """Whether nothing is set that pydantic would check (its names of variables know no upper and lower case)."""
    names = {name for name in os.environ if name.upper().startswith(_PREFIX)}
    if not names <= {"LAUNCH_JOBS_HOME", "LAUNCH_JOBS_STORE"}:
        return False
    named = os.environ.get("LAUNCH_JOBS_HOME")
    return (named is None or named.startswith("/")) and not os.path.lexists(home() / "settings.toml")
