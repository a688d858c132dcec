"""What commands work on: this machine's settings, its job store, and the Prefect server it is connected to."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from launch_jobs.capture.late_store import LateStore
    from launch_jobs.job import JobVersion
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.jobs import JobStore

T = TypeVar("T")

_QUIET = {"PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Session:
    """One command's surroundings."""

    settings: LaunchSettings

    @cached_property
    def store(self) -> JobStore:
        """The job store, opened at its first use.

        Raises:
            BadInput, StoreError: it cannot be opened.
        """
        from launch_jobs.configured import BLOCK, configured_store

        if self.settings.store_url.startswith(BLOCK):
            _reach_quietly(self.settings)
        return configured_store(self.settings)

    def job(self, reference: str) -> JobVersion:
        """The job version that a user names.

        Raises:
            BadInput, NotFound: there is none.
        """
        from launch_jobs.names import JobRef

        return self.store.resolve(JobRef.parse(reference))


def local_session() -> Session:
    """A session that needs no server.

    Raises:
        BadInput: a setting is wrong.
    """
    from launch_jobs.settings import load_settings

    settings = load_settings()
    if settings.git_credentials:
        from launch_jobs.configured import offer_git_account

        offer_git_account(settings, reach=_reach_quietly)
    return Session(settings)


def run_store() -> LateStore:
    """The job store of a tracked run: opened now, unless a look at it says that this can wait for the program's end.

    Raises:
        BadInput, StoreError: a setting is wrong; it cannot be opened.
    """
    from launch_jobs.basics import basics
    from launch_jobs.capture.late_store import LateStore
    from launch_jobs.store.ready import is_ready

    known = basics()
    if known.git_credentials is None and is_ready(known.store_url):
        return LateStore(lambda: _open_store(known.store_url))
    store = local_session().store
    return LateStore(lambda: store)


def _open_store(url: str) -> JobStore:
    from launch_jobs.store.jobs import open_store

    return open_store(url)


def server_session(*, quiet: bool = True) -> Session:
    """A session with the Prefect server: PREFECT_API_URL's, else the one that `launch up` or `launch connect` chose.

    Call it before anything imports Prefect, which reads its settings from the environment once.
    """
    session = local_session()
    _reach_server(session.settings)
    if quiet:
        quieten()
    return session


def _reach_server(settings: LaunchSettings) -> None:
    from launch_jobs.local.connection import use_home_server

    use_home_server(settings)


def _reach_quietly(settings: LaunchSettings) -> None:
    _reach_server(settings)
    quieten()


def quieten() -> None:
    """Keep Prefect's own log lines off the terminal: stdout and stderr are ours."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def wait(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end."""
    import asyncio

    return asyncio.run(work)  # pyright: ignore[reportArgumentType] - asyncio names its type parameters otherwise
