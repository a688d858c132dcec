"""Which Docker Engine, and which registry account: prefect-docker's own blocks, named in this machine's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launch_jobs.client import translated_errors
from launch_jobs.engine import Login
from launch_jobs.errors import NotFound

if TYPE_CHECKING:
    from launch_jobs.settings import LaunchSettings


@dataclass(frozen=True, slots=True)
class DockerAccess:
    """How to reach an engine.

    Attributes:
        base_url: its address; None: as the docker command finds it (DOCKER_HOST, the current context).
        login: an account to pull with, besides the docker configuration's.
    """

    base_url: str | None = None
    login: Login | None = None


async def docker_access(settings: LaunchSettings) -> DockerAccess:
    """Load the blocks that the settings `docker_host` and `docker_registry` name; without them, the defaults.

    Raises:
        NotFound: a named block does not exist.
        Unavailable: the Prefect server does not answer.
    """
    base_url = await _base_url(settings.docker_host) if settings.docker_host else None
    login = await _login(settings.docker_registry) if settings.docker_registry else None
    return DockerAccess(base_url=base_url, login=login)


async def _base_url(block: str) -> str | None:
    from prefect_docker import DockerHost

    try:
        async with translated_errors():
            return (await DockerHost.aload(block)).base_url
    except ValueError as error:
        raise NotFound(
            f"There is no DockerHost block {block!r}", do="Make it, or mend LAUNCH_JOBS_DOCKER_HOST"
        ) from error


async def _login(block: str) -> Login:
    from prefect_docker import DockerRegistryCredentials

    try:
        async with translated_errors():
            found = await DockerRegistryCredentials.aload(block)
    except ValueError as error:
        raise NotFound(
            f"There is no DockerRegistryCredentials block {block!r}", do="Make it, or mend LAUNCH_JOBS_DOCKER_REGISTRY"
        ) from error
    return Login(found.username, found.password.get_secret_value(), found.registry_url)
