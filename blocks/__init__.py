"""Operator configuration as Prefect block types: `prefect block register -m blocks` makes them editable in the UI.

The fields of each are declared once, in `launch_jobs.operator_blocks`, where the library reads them; `launch up`
registers them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from pydantic import HttpUrl

from launch_jobs.operator_blocks import AgentHostFields, GitCredentialsFields, JobStoreFields, RegistryFields

if TYPE_CHECKING:
    from launch_jobs.store.jobs import JobStore as OpenJobStore

__all__ = ["AgentHost", "GitCredentials", "JobStore", "Registry"]

_DOCUMENTATION = HttpUrl("https://github.com/launch-jobs/launch-jobs/blob/main/docs/settings.md#blocks")


class JobStore(JobStoreFields, Block):
    """Where jobs, logs and outputs are kept. `launch connect` takes the one named `default`."""

    _block_type_slug = JobStoreFields.slug
    _block_type_name = "Launch Job Store"
    _documentation_url = _DOCUMENTATION

    def open(self) -> OpenJobStore:
        """Open the job store.

        Raises:
            StoreError, Unavailable: it cannot be opened.
        """
        from launch_jobs.configured import store_access
        from launch_jobs.store.jobs import open_store

        return open_store(self.url, store_access(self))


class Registry(RegistryFields, Block):
    """An OCI registry that queues push built images to and run them from; a queue names it in its `registry`."""

    _block_type_slug = RegistryFields.slug
    _block_type_name = "Launch Registry"
    _documentation_url = _DOCUMENTATION


class GitCredentials(GitCredentialsFields, Block):
    """An account for one git host, used when a repository is captured or checked out; sent to no other host."""

    _block_type_slug = GitCredentialsFields.slug
    _block_type_name = "Launch Git Credentials"
    _documentation_url = _DOCUMENTATION


class AgentHost(AgentHostFields, Block):
    """What an operator decides for agents; fills what a machine's own settings leave open."""

    _block_type_slug = AgentHostFields.slug
    _block_type_name = "Launch Agent Host"
    _documentation_url = _DOCUMENTATION
