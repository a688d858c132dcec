"""A cluster that the user names by KUBECONFIG, instead of our own."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from cluster.commands import ClusterError
from cluster.layout import Layout


def find(layout: Layout) -> str | None:
    """Its KUBECONFIG and version, if the variable names one that is not ours.

    Raises:
        ClusterError: it does not answer: a typing error must not start another cluster.
    """
    named = os.environ.get("KUBECONFIG")
    if not named or named == str(layout.kubeconfig):
        return None
    try:
        return f"{named} (Kubernetes {asyncio.run(_version(named))})"
    except Exception as error:
        raise ClusterError(
            f"the cluster of KUBECONFIG={named} does not answer: {error}; or unset KUBECONFIG"
        ) from error


async def _version(named: str) -> str:
    import kubernetes_asyncio

    library: Any = kubernetes_asyncio  # it has no types
    await library.config.load_kube_config(config_file=named)
    async with library.client.ApiClient() as connection:
        return (await library.client.VersionApi(connection).get_code()).git_version
