"""The block types of operators, on a real server: registered, seen, edited, secrets kept."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from infrastructure.plugin import Bucket
from prefect.blocks.core import Block
from pydantic import SecretStr

import blocks
from launch_jobs.client import connect
from launch_jobs.configured import configured_store, git_account
from launch_jobs.errors import BadInput, NotFound
from launch_jobs.local.connection import Connection
from launch_jobs.operator_blocks import (
    AgentHostFields,
    GitCredentialsFields,
    JobStoreFields,
    OperatorFields,
    RegistryFields,
    read_block,
    register_blocks,
)
from launch_jobs.project import lay_down, project_source
from launch_jobs.settings import LaunchSettings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("connected")]

KINDS: dict[type[OperatorFields], type[Block]] = {
    AgentHostFields: blocks.AgentHost,
    GitCredentialsFields: blocks.GitCredentials,
    JobStoreFields: blocks.JobStore,
    RegistryFields: blocks.Registry,
}


@pytest.fixture
def name() -> str:
    """A block name of the test's own: the server is shared."""
    return f"block-{uuid.uuid4().hex[:8]}"


async def schema_on_server(slug: str) -> tuple[str, dict[str, Any]]:
    """Id and fields of a block type's latest schema, as the UI gets them."""
    async with connect() as client:
        found = await client.get_most_recent_block_schema_for_block_type(
            (await client.read_block_type_by_slug(slug)).id
        )
    assert found
    return str(found.id), found.fields


async def data_on_server(slug: str, name: str) -> dict[str, Any]:
    """A block's values, as the UI and anybody with the server's password sees them."""
    async with connect() as client:
        return (await client.read_block_document_by_name(name, slug, include_secrets=False)).data


def test_the_laid_down_project_registers_by_prefects_own_command(tmp_path: Path) -> None:
    """All four, in a folder that knows nothing of this checkout."""
    lay_down(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"],
        cwd=tmp_path,
        env=os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Successfully registered 4 blocks" in done.stdout, done.stderr


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields.slug)
async def test_a_form_explains_every_field_and_knows_the_secret_ones(fields: type[OperatorFields]) -> None:
    """The UI makes its form from this: each field described as in the library, the type described, too."""
    await register_blocks(project_source())
    _, schema = await schema_on_server(fields.slug)
    described = {name: field["description"] for name, field in schema["properties"].items()}
    assert described == {name: field.description for name, field in fields.model_fields.items()}
    secret = {name for name, field in fields.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert set(schema["secret_fields"]) == secret
    async with connect() as client:
        assert (await client.read_block_type_by_slug(fields.slug)).description


async def test_registering_again_changes_nothing() -> None:
    """`launch up` does it each time."""
    assert len(await register_blocks(project_source())) == 4
    before = {fields.slug: (await schema_on_server(fields.slug))[0] for fields in KINDS}
    await register_blocks(project_source())
    assert {fields.slug: (await schema_on_server(fields.slug))[0] for fields in KINDS} == before


async def test_what_is_saved_is_read_and_what_is_edited_is_read_anew(name: str) -> None:
    """By the library's own reader, which agents use."""
    await blocks.Registry(address="registry:5000", password=SecretStr("one")).asave(name)
    found = await read_block(RegistryFields, name)
    assert (found.address, found.namespace) == ("registry:5000", "launch-jobs")
    assert found.password
    assert found.password.get_secret_value() == "one"
    await blocks.Registry(address="registry:5001").asave(name, overwrite=True)
    assert (await read_block(RegistryFields, name)).address == "registry:5001"


@pytest.mark.parametrize(
    ("block", "field"),
    [
        (blocks.Registry(address="a", password=SecretStr("hidden-value")), "password"),
        (blocks.JobStore(url="s3://b", secret_access_key=SecretStr("hidden-value")), "secret_access_key"),
        (blocks.GitCredentials(host="github.com", token=SecretStr("hidden-value")), "token"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get_block_type_slug(),
)
async def test_a_secret_is_obfuscated(block: Block, field: str, name: str) -> None:
    """Who reads a block without asking for secrets, as the UI does, gets stars; so does a printed block."""
    await block.asave(name)
    seen = await data_on_server(block.get_block_type_slug(), name)
    assert set(seen[field]) == {"*"}
    assert "hidden-value" not in f"{seen}{block!r}{await read_block(_fields_of(block), name)!r}"


def _fields_of(block: Block) -> type[OperatorFields]:
    return next(fields for fields, kind in KINDS.items() if isinstance(block, kind))


async def test_a_block_that_is_not_there_is_named() -> None:
    """With where to make it."""
    with pytest.raises(NotFound, match=r"no launch-agent-host block 'nope'.*UI"):
        await read_block(AgentHostFields, "nope")


async def test_a_value_that_does_not_fit_is_named(name: str) -> None:
    """A block written past the form; block and field are named, the value, maybe a secret, is not."""
    await blocks.AgentHost.model_construct(max_jobs=-70007).asave(name)
    with pytest.raises(BadInput, match=rf"{name}.*'max_jobs'.*greater than or equal to 1") as refusal:
        await read_block(AgentHostFields, name)
    assert "-70007" not in str(refusal.value)


async def test_the_setting_store_may_name_a_block(name: str, tmp_path: Path) -> None:
    """The same store as by its URL, opened by every caller in the same way, inside an event loop too."""
    url = (tmp_path / "shared").as_uri()
    block = blocks.JobStore(url=url)
    await block.asave(name)
    digest = block.open().put_bytes(b"content")
    by_block = configured_store(LaunchSettings(home=tmp_path, store=f"block:{name}"))
    by_block.get_blob(digest, tmp_path / "read")
    assert (tmp_path / "read").read_bytes() == b"content"


def test_a_store_block_brings_endpoint_and_account(
    s3: Bucket, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a machine needs no AWS configuration of its own."""
    for variable in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    account = {"access_key_id": "test", "secret_access_key": "test", "region": "us-east-1"}
    blocks.JobStore.model_validate({"url": s3.url, "endpoint_url": s3.endpoint, **account}).save(name)
    store = configured_store(LaunchSettings(home=tmp_path, store=f"block:{name}"))
    assert store.names() == []
    assert s3.client.list_objects_v2(Bucket=s3.name)["KeyCount"] == 1
    assert configured_store(LaunchSettings(home=tmp_path, store=f"block:{name}")) is store


def test_a_store_block_that_names_a_block_is_refused(name: str, tmp_path: Path) -> None:
    """No chains."""
    blocks.JobStore(url="block:other").save(name)
    with pytest.raises(BadInput, match="names another block"):
        configured_store(LaunchSettings(home=tmp_path, store=f"block:{name}"))


def test_a_store_block_is_asked_for_once(name: str, tmp_path: Path) -> None:
    """Agents open the store for every run: the server is not asked each time, not even for a block that is gone."""
    blocks.JobStore(url=(tmp_path / "shared").as_uri()).save(name)
    settings = LaunchSettings(home=tmp_path, store=f"block:{name}")
    configured_store(settings)
    blocks.JobStore.delete(name)
    configured_store(settings)


def test_the_git_account_comes_from_its_block(name: str, tmp_path: Path) -> None:
    """Plain data, so that captures need no Prefect."""
    blocks.GitCredentials(host="github.com", token=SecretStr("hidden-value")).save(name)
    account = git_account(LaunchSettings(home=tmp_path, git_credentials=name))
    assert account
    assert (account.host, account.username, account.token) == ("github.com", "git", "hidden-value")


def test_without_the_setting_no_server_is_asked(tmp_path: Path, connected: Connection) -> None:
    """Most users have no such block."""
    del connected
    assert git_account(LaunchSettings(home=tmp_path)) is None


async def test_a_changed_blocks_package_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`launch up` goes on without it, after a warning."""
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "__init__.py").write_text("import nothing_of_that_name\n")
    monkeypatch.delitem(sys.modules, "blocks")
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(BadInput, match=r"blocks cannot be imported: ModuleNotFoundError"):
        await register_blocks(tmp_path)
