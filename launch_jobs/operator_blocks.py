"""What operators configure in the Prefect UI as blocks: the fields of each kind, and how the library reads one.

The Prefect block classes themselves are in `blocks/`, made from these fields, so that each field is declared once and
the library never imports the project.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from pathlib import Path
from typing import ClassVar, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Field, SecretStr, ValidationError

from launch_jobs.client import connect
from launch_jobs.errors import BadInput, NotFound


class OperatorFields(BaseModel):
    """Base of the fields of one block type."""

    slug: ClassVar[str]
    """The block type's slug."""


class RegistryFields(OperatorFields):
    """An OCI registry that queues push built images to and run them from."""

    slug: ClassVar[str] = "launch-registry"

    address: str = Field(description="Host and port, e.g. `registry.example.com:5000`.")
    namespace: str = Field(default="launch-jobs", description="Path under which repositories are made.")
    username: str | None = Field(default=None, description="Account; none: the docker configuration's.")
    password: SecretStr | None = Field(default=None, description="Its password or token.")
    credentials: str | None = Field(
        default=None,
        description="Name of a prefect-docker DockerRegistryCredentials block, instead of an account here.",
    )


class JobStoreFields(OperatorFields):
    """Where jobs, logs and outputs are kept, for every machine that uses this server."""

    slug: ClassVar[str] = "launch-job-store"

    url: str = Field(description="`s3://bucket/prefix`, or `file:///folder` on a shared file system.")
    endpoint_url: str | None = Field(default=None, description="Of an S3-compatible server; none: AWS.")
    region: str | None = Field(default=None, description="None: as the AWS configuration says.")
    access_key_id: str | None = Field(default=None, description="None: as boto3 finds credentials.")
    secret_access_key: SecretStr | None = Field(default=None, description="Of the access key.")


class GitCredentialsFields(OperatorFields):
    """An account for one git host, used when a repository is captured or checked out."""

    slug: ClassVar[str] = "launch-git-credentials"

    host: str = Field(description="Host (and port) it is for, e.g. `github.com`; sent to no other.")
    username: str = Field(default="git", description="Account.")
    token: SecretStr = Field(description="Password or access token.")


class AgentHostFields(OperatorFields):
    """What an operator decides for agents; fills what a machine's own settings leave open."""

    slug: ClassVar[str] = "launch-agent-host"

    max_jobs: int | None = Field(default=None, ge=1, description="Most runs at once on one agent.")
    docker_host: str | None = Field(default=None, description="Name of a prefect-docker DockerHost block.")
    docker_registry: str | None = Field(default=None, description="DockerRegistryCredentials block to pull with.")
    base_image: str | None = Field(default=None, description="Base of generated images.")
    package_index: str | None = Field(default=None, description="URL of the package index used inside builds.")
    build_network: str | None = Field(default=None, description="Network mode of builds, e.g. `host`.")


F = TypeVar("F", bound=OperatorFields)


async def read_block(fields: type[F], name: str) -> F:
    """The values of a block, its secrets included.

    Args:
        fields: which kind of block.
        name: the block document's name on the Prefect server.

    Raises:
        NotFound: there is none of that name.
        BadInput: its values are not what the kind needs.
        Unavailable: the server does not answer.
    """
    async with connect() as client:
        try:
            document = await client.read_block_document_by_name(name, fields.slug, include_secrets=True)
        except ObjectNotFound as error:
            raise NotFound(
                f"There is no {fields.slug} block {name!r}",
                do="Make it in the UI (Blocks), after `prefect block register -m blocks`",
            ) from error
    try:
        return fields.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"{fields.slug} block {name!r}, field {field!r}: {first['msg']}", do="Mend it in the UI"
        ) from error


async def register_blocks(project: Path) -> list[str]:
    """Register the block types of a project's `blocks/`, as `prefect block register -m blocks` does there.

    What the server knows already costs two small requests a type. Returns their names.

    Raises:
        BadInput: that package cannot be imported.
        Unavailable: the server does not answer.
    """
    found = _block_types(project)
    async with connect() as client:
        await asyncio.gather(*(block.aregister_type_and_schema(client=client) for block in found))
    return [block.get_block_type_name() for block in found]


def _block_types(project: Path) -> list[type[Block]]:
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    try:
        module = importlib.import_module("blocks")
    except Exception as error:  # the operator may have changed that code in any way
        raise BadInput(f"{project / 'blocks'} cannot be imported: {type(error).__name__}: {error}") from error
    classes = [found for _, found in inspect.getmembers(module, inspect.isclass)]
    return [found for found in classes if issubclass(found, Block) and found is not Block]
