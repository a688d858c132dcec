"""Address and credentials of a cluster: a kubeconfig, or a pod's own service account."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from launch_jobs.cluster.sdk import sdk
from launch_jobs.errors import Unavailable
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Which cluster, and as whom.

    Attributes:
        config: the content of a kubeconfig; None: the pod's own service account if this is one, else KUBECONFIG or
            the user's file.
        context: of the kubeconfig; None: its current one.
    """

    config: JsonObject | None = field(default=None, repr=False)
    context: str | None = None


async def configuration_of(access: ClusterAccess) -> Configuration:
    """Address and credentials.

    Raises:
        Unavailable: there are none, or they cannot be read.
    """
    config, made = sdk().config, sdk().configuration()
    try:
        if access.config is not None:
            await config.load_kube_config_from_dict(access.config, access.context, made)
        elif access.context is None and "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(made)
        else:
            _check_is_there()
            await config.load_kube_config(context=access.context, client_configuration=made)
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise Unavailable(
            f"no Kubernetes cluster is configured: {str(error)[:200]}",
            do="Set KUBECONFIG, or LAUNCH_JOBS_KUBERNETES_CLUSTER to a Kubernetes credentials block",
        ) from error
    # Every log that is followed has a connection of its own.
    made.connection_pool_maxsize = 0
    return made


def _check_is_there() -> None:
    """The SDK would print a line of its own.

    Raises:
        FileNotFoundError: this machine has no kubeconfig.
    """
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(one).expanduser().is_file() for one in named.split(os.pathsep)):
        raise FileNotFoundError(f"there is no {named}")
