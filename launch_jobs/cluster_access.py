"""Which Kubernetes cluster a queue uses: its operator's blocks of prefect-kubernetes, or this machine's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from launch_jobs.client import translated_errors
from launch_jobs.errors import BadInput, NotFound

if TYPE_CHECKING:
    from prefect_kubernetes.credentials import KubernetesClusterConfig

    from launch_jobs.cluster import ClusterAccess
    from launch_jobs.job import JsonObject
    from launch_jobs.settings import LaunchSettings


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What a queue's operator wrote about its cluster; none of it is ever a job variable.

    Attributes:
        cluster_config: KubernetesClusterConfig block.
        credentials: KubernetesCredentials block.
        context: of the agent's kubeconfig.
        outputs_image: image of the container that keeps outputs; None: the program's own.
        outputs_wait: seconds for which it waits for an agent.
    """

    cluster_config: str | None = None
    credentials: str | None = None
    context: str | None = None
    outputs_image: str | None = None
    outputs_wait: int = 600


@dataclass(frozen=True, slots=True)
class ReachedCluster:
    """A cluster, and how outputs come home from it."""

    access: ClusterAccess | None = None
    outputs_image: str | None = None
    outputs_wait: int = 600


def cluster_choice(template: Mapping[str, JsonValue]) -> ClusterChoice:
    """What a queue's base job template says. Pure."""
    configuration = template.get("job_configuration")
    given = configuration if isinstance(configuration, dict) else {}
    texts = {name: given.get(name) for name in ("cluster_config", "credentials", "context", "outputs_image")}
    wait = given.get("outputs_wait")
    return ClusterChoice(
        **{name: value for name, value in texts.items() if isinstance(value, str)},
        outputs_wait=wait if isinstance(wait, int) else 600,
    )


async def reached_cluster(choice: ClusterChoice, settings: LaunchSettings) -> ReachedCluster:
    """Read the blocks that a queue names, else the one of the settings; without any, this machine's own cluster.

    Raises:
        BadInput: a queue names two.
        NotFound: a named block does not exist.
        Unavailable: the Prefect server does not answer.
    """
    return ReachedCluster(await _access(choice, settings), choice.outputs_image, choice.outputs_wait)


async def _access(choice: ClusterChoice, settings: LaunchSettings) -> ClusterAccess:
    if choice.cluster_config and choice.credentials:
        raise BadInput("the queue names a cluster_config and credentials", do="Leave one of them out")
    # Not in agents that serve no cluster: what it needs takes 14 MB.
    from launch_jobs.cluster import ClusterAccess
    from launch_jobs.cluster.sdk import IMPORTING

    if choice.cluster_config:
        return _accessed(await _cluster_config(choice.cluster_config), choice.context)
    block = choice.credentials or (settings.kubernetes_credentials if choice.context is None else None)
    if block is None:
        return ClusterAccess(context=choice.context)
    with IMPORTING:
        from prefect_kubernetes.credentials import KubernetesCredentials

    try:
        async with translated_errors():
            found = await KubernetesCredentials.aload(block)
    except ValueError as error:
        raise NotFound(
            f"There is no KubernetesCredentials block {block!r}",
            do="Make it, or mend the queue or LAUNCH_JOBS_KUBERNETES_CREDENTIALS",
        ) from error
    if found.cluster_config is None:
        return ClusterAccess(context=choice.context)
    return _accessed(found.cluster_config, choice.context)


async def _cluster_config(block: str) -> KubernetesClusterConfig:
    from launch_jobs.cluster.sdk import IMPORTING

    with IMPORTING:
        from prefect_kubernetes.credentials import KubernetesClusterConfig

    try:
        async with translated_errors():
            return await KubernetesClusterConfig.aload(block)
    except ValueError as error:
        raise NotFound(
            f"There is no KubernetesClusterConfig block {block!r}", do="Make it, or mend the queue"
        ) from error


def _accessed(block: KubernetesClusterConfig, context: str | None) -> ClusterAccess:
    from launch_jobs.cluster import ClusterAccess

    content = cast("JsonObject", block.config)  # pyright: ignore[reportUnknownMemberType] # Prefect's untyped Dict
    return ClusterAccess(content, context or block.context_name)
