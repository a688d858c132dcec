"""What an agent's operator grants to the workloads of Kubernetes queues: agent.toml, [allow.kubernetes]."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from launch_jobs.job import Frozen

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
_Folder = Annotated[str, StringConstraints(pattern=r"^/([^/\x00]+(/[^/\x00]+)*)?$", max_length=4096)]


class ClusterGrants(Frozen):
    """Beyond the Restricted pod security standard; nothing by default."""

    namespaces: tuple[_Name, ...] | None = Field(
        default=None, description="The only ones that queues may use; none given: all that are not Kubernetes' own."
    )
    service_accounts: tuple[_Name, ...] = Field(
        default=(), description="Accounts that pods may run as, and whose tokens they may get."
    )
    secrets: tuple[_Name, ...] = Field(
        default=(), description="Kubernetes Secrets that pods may read, beside the run's own."
    )
    root: bool = Field(default=False, description="Containers that run as root.")
    privileged: bool = Field(default=False, description="All of the node's power: a privileged container owns it.")
    host_network: bool = Field(default=False, description="The node's own network, and its ports.")
    host_pid: bool = Field(default=False, description="Sight of all processes of the node.")
    host_ipc: bool = Field(default=False, description="The node's shared memory.")
    host_paths: tuple[_Folder, ...] = Field(
        default=(), description="Folders of the nodes that pods may mount, with all below them."
    )
    capabilities: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")], ...] = Field(
        default=(), description="Linux capabilities, without CAP_."
    )
    any_node: bool = Field(
        default=False, description="Nodes of the control plane, a node by its name, priorities of the system."
    )
