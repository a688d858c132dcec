"""What this machine's settings and the operator's blocks say together: job store, git account, agent host.

Prefect is imported only where a setting names a block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launch_jobs.errors import BadInput
from launch_jobs.store.jobs import JobStore, open_store

if TYPE_CHECKING:
    from pydantic import SecretStr

    from launch_jobs.capture.git_account import GitAccount
    from launch_jobs.operator_blocks import AgentHostFields, F, JobStoreFields
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.access import S3Access

BLOCK = "block:"
"""How the setting `store` names a launch-job-store block instead of a URL."""

_FILLED = ("docker_host", "docker_registry", "base_image", "package_index", "build_network")


def configured_store(settings: LaunchSettings) -> JobStore:
    """The job store that the settings name. Every caller opens it here.

    Blocks the calling thread. A block is asked for once a process and server, and a store elsewhere opened once, so
    that calling again costs nothing.

    Raises:
        BadInput: the URL or the block names no kind of store that there is.
        NotFound: there is no such block.
        StoreError: it is something else's, or cannot be read or written.
        Unavailable: the server or the store does not answer.
    """
    url = settings.store_url
    if not url.startswith(BLOCK):
        return _open(url, None)
    from launch_jobs.operator_blocks import JobStoreFields

    fields = _read(JobStoreFields, url.removeprefix(BLOCK))
    if fields.url.startswith(BLOCK):
        raise BadInput(f"The job store block {url.removeprefix(BLOCK)!r} names another block", do="Give it a URL")
    return _open(fields.url, store_access(fields))


def store_access(fields: JobStoreFields) -> S3Access | None:
    """How a block's store is reached; None: as boto3 finds it by itself."""
    from launch_jobs.store.access import S3Access

    access = S3Access(
        endpoint_url=fields.endpoint_url,
        region=fields.region,
        access_key_id=fields.access_key_id,
        secret_access_key=_revealed(fields.secret_access_key),
    )
    return access if access != S3Access() else None


def offer_git_account(settings: LaunchSettings, *, reach: Callable[[LaunchSettings], object] = lambda _: None) -> None:
    """Let captures and checkouts of the current task use the account of the setting `git_credentials`.

    Args:
        settings: this machine's.
        reach: called before the block is asked for; lets this process talk to the server.
    """
    from launch_jobs.capture.git_account import offer_account

    def find() -> GitAccount | None:
        reach(settings)
        return git_account(settings)

    offer_account(find if settings.git_credentials else None)


def git_account(settings: LaunchSettings) -> GitAccount | None:
    """The account of the block that the setting `git_credentials` names. Blocks; asked for once a process and server.

    Raises:
        NotFound: there is no such block.
        Unavailable: the server does not answer.
    """
    if settings.git_credentials is None:
        return None
    from launch_jobs.capture.git_account import GitAccount
    from launch_jobs.operator_blocks import GitCredentialsFields

    fields = _read(GitCredentialsFields, settings.git_credentials)
    return GitAccount(fields.host, fields.username, fields.token.get_secret_value())


async def agent_settings(settings: LaunchSettings) -> LaunchSettings:
    """An agent's settings: the machine's, filled by the block that the setting `agent_host` names.

    Raises:
        NotFound: there is no such block.
        Unavailable: the server does not answer.
    """
    if settings.agent_host is None:
        return settings
    from launch_jobs.operator_blocks import AgentHostFields, read_block

    return with_agent_host(settings, await read_block(AgentHostFields, settings.agent_host))


def with_agent_host(settings: LaunchSettings, fields: AgentHostFields) -> LaunchSettings:
    """Fill what a machine's settings leave open. Its own win, but of two limits the smaller. Pure."""
    filled = {name: getattr(fields, name) for name in _FILLED if getattr(settings, name) is None}
    limits = [limit for limit in (settings.max_jobs, fields.max_jobs) if limit is not None]
    return settings.model_copy(update={**filled, "max_jobs": min(limits, default=None)})


def _open(url: str, access: S3Access | None) -> JobStore:
    """A folder is opened anew, which costs little and finds it gone; a session with S3 is kept."""
    if urlsplit(url).scheme in {"", "file"}:
        return open_store(url)
    return _open_elsewhere(url, access)


@lru_cache(maxsize=16)
def _open_elsewhere(url: str, access: S3Access | None) -> JobStore:
    return open_store(url, access)


def _read(fields: type[F], name: str) -> F:
    from prefect.settings import PREFECT_API_URL

    return _read_once(fields, name, PREFECT_API_URL.value())


@lru_cache(maxsize=64)
def _read_once(fields: type[F], name: str, server: str | None) -> F:
    del server  # part of the key only: another server has other blocks
    from launch_jobs.client import wait_for
    from launch_jobs.operator_blocks import read_block

    return wait_for(read_block(fields, name))


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
