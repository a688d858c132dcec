"""Which Docker Engine, and which registry account: prefect-docker's own blocks, named in this machine's settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launch_jobs.client import translated_errors
from launch_jobs.engine import Login
from launch_jobs.errors import BadInput, NotFound

if TYPE_CHECKING:
    from launch_jobs.build.registry import Registry
    from launch_jobs.operator_blocks import RegistryFields
    from launch_jobs.settings import LaunchSettings

_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@dataclass(frozen=True, slots=True)
class DockerAccess:
    """How to reach an engine.

    Attributes:
        base_url: its address; None: as the docker command finds it (DOCKER_HOST, the current context).
        login: an account to pull with, besides the docker configuration's.
        registry: where built images go; None: they stay on the engine.
    """

    base_url: str | None = None
    login: Login | None = None
    registry: Registry | None = None


async def docker_access(settings: LaunchSettings) -> DockerAccess:
    """Load the blocks that the settings `docker_host` and `docker_registry` name; without them, the defaults.

    Raises:
        NotFound: a named block does not exist.
        Unavailable: the Prefect server does not answer.
    """
    base_url = await _base_url(settings.docker_host) if settings.docker_host else None
    setting = "LAUNCH_JOBS_DOCKER_REGISTRY"
    login = await _login(settings.docker_registry, setting) if settings.docker_registry else None
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


async def with_registry(access: DockerAccess, block: str | None) -> DockerAccess:
    """Access whose built images go to the registry of a Registry block, read anew; None: they stay on the engine.

    Raises:
        NotFound: the block, or the credentials block that it names, does not exist.
        BadInput: the block's values are wrong; the message names what.
        Unavailable: the Prefect server does not answer.
    """
    if block is None:
        return access
    from launch_jobs.build.registry import Registry
    from launch_jobs.operator_blocks import RegistryFields, read_block

    fields = await read_block(RegistryFields, block)
    login = await _account(fields, block)
    return replace(access, registry=Registry(fields.address, fields.namespace, login, access.base_url))


async def _account(fields: RegistryFields, block: str) -> Login | None:
    """The account of a Registry block: its own, else its credentials block's, which must be of the same registry."""
    mend = f"Mend the Registry block {block!r}"
    if bool(fields.username) != bool(fields.password):
        raise BadInput(f"Registry block {block!r} has a username or a password, not both", do=mend)
    if fields.username and fields.password:
        if fields.credentials:
            raise BadInput(f"Registry block {block!r} has an account and a credentials block", do=mend)
        return Login(fields.username, fields.password.get_secret_value(), fields.address)
    if not fields.credentials:
        return None
    login = await _login(fields.credentials, f"the Registry block {block!r}")
    if _host(login.registry) != _host(fields.address):
        raise BadInput(
            f"Registry block {block!r} is of {fields.address}, its credentials are for {login.registry}", do=mend
        )
    return replace(login, registry=fields.address)


def _host(address: str) -> str:
    host = address.rpartition("://")[2].partition("/")[0]
    return "docker.io" if host in _DOCKER_HUB else host


async def _login(block: str, named_by: str) -> Login:
    from prefect_docker import DockerRegistryCredentials

    try:
        async with translated_errors():
            found = await DockerRegistryCredentials.aload(block)
    except ValueError as error:
        raise NotFound(
            f"There is no DockerRegistryCredentials block {block!r}", do=f"Make it, or mend {named_by}"
        ) from error
    return Login(found.username, found.password.get_secret_value(), found.registry_url)
