"""What an operator decides for builds in a Kubernetes cluster: the table `[kubernetes_builder]` of agent.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from launch_jobs.job import Frozen

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_HOST = r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$"

Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
SecretId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}/[A-Za-z0-9._-]{1,253}$")]


class ClusterBuilder(Frozen):
    """How and where images are built in the cluster of a Kubernetes queue."""

    image: str = Field(
        min_length=1,
        max_length=512,
        description="Image with sh, coreutils, tar, buildah and skopeo, and a user 1000 with subordinate ids.",
    )
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = Field(
        default=None, description="Where builds run; None: the queue's."
    )
    service_account: Name | None = Field(
        default=None, description="Of builds; its token is never mounted. None: the namespace's default one."
    )
    image_pull_secrets: tuple[Name, ...] = ()
    platform: Annotated[str, StringConstraints(pattern=r"^linux/[a-z0-9]+$")] = Field(
        default="linux/amd64", description="Of the images; builds run on nodes of it."
    )
    node_selector: dict[str, str] = Field(default_factory=dict)
    cpus: Quantity | None = None
    memory: Quantity | None = Field(default=None, description="Most of one build; more ends it.")
    storage: Quantity | None = Field(default=None, description="Most disk of one build, a node's.")
    deadline: int = Field(default=7200, ge=60, description="Seconds after which Kubernetes ends a build by itself.")
    seccomp_profile: str | None = Field(
        default=None, description="A profile of the nodes that lets user namespaces be made; None: none."
    )
    plain_http: tuple[Annotated[str, StringConstraints(pattern=_HOST)], ...] = Field(
        default=(), description="Registries (host:port) that speak HTTP without TLS."
    )
    layer_cache: str | None = Field(
        default=None, max_length=512, description="Repository for steps of the jobs' own Dockerfiles."
    )
    layer_cache_secret: Name | None = Field(
        default=None,
        description="Secret (kubernetes.io/dockerconfigjson) with its account; code in builds can read it.",
    )
    secrets: dict[SecretId, SecretKey] = Field(
        default_factory=dict, description="For `RUN --mount=type=secret`: id → SECRET/KEY of the builds' namespace."
    )
