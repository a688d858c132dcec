"""What a Kubernetes queue decides: the job variables, and what its operator alone writes into its template."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from launch_jobs.job import Frozen, JsonObject
from launch_jobs.targets.configuration import ContainerConfiguration, EnvName, Quantity
from launch_jobs.targets.kubernetes.labels import LABEL_KEY, LABEL_VALUE, OURS
from launch_jobs.targets.quantity import parse_quantity

Dns = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""A name of an object."""

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A name that is one part of a host name: of a namespace, for instance."""

LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE)]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}/[A-Za-z0-9._-]{1,253}$")]

PLAIN_JOB: JsonObject = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}},
}
"""The workload of a queue whose operator wrote none: one pod."""


def _not_ours(key: str) -> str:
    if key.startswith(OURS):
        raise ValueError(f"labels that begin with {OURS} are ours")
    return key


LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY), AfterValidator(_not_ours)]


class ClusterVolume(Frozen):
    """Something of the namespace, mounted for the program. Exactly one of claim, secret and config."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^:\x00\n]+$", max_length=4096)]
    claim: Dns | None = Field(default=None, description="A PersistentVolumeClaim.")
    secret: Dns | None = Field(default=None, description="A Secret: a file a key. The agent's file has to grant it.")
    config: Dns | None = Field(default=None, description="A ConfigMap: a file a key.")
    sub_path: Annotated[str, StringConstraints(pattern=r"^[^/\x00][^\x00]*$", max_length=4096)] | None = None
    read_only: bool = True

    @model_validator(mode="after")
    def _has_one_source(self) -> ClusterVolume:
        if sum(source is not None for source in (self.claim, self.secret, self.config)) != 1:
            raise ValueError("exactly one of claim, secret and config is needed")
        return self


class Toleration(Frozen):
    """A taint that pods put up with, in Kubernetes' own words."""

    key: Annotated[str, StringConstraints(pattern=LABEL_KEY)]
    operator: Annotated[str, StringConstraints(pattern=r"^(Exists|Equal)$")] = "Exists"
    value: LabelValue | None = None
    effect: Annotated[str, StringConstraints(pattern=r"^(NoSchedule|PreferNoSchedule|NoExecute)$")] | None = None


class KubernetesConfiguration(ContainerConfiguration):
    """Job variables of a `launch-kubernetes` queue; where it runs, and as what, is its operator's alone."""

    work_pool_type: ClassVar[str] = "launch-kubernetes"
    template_fields: ClassVar[frozenset[str]] = frozenset({"manifest"})
    operator_fields: ClassVar[frozenset[str]] = ContainerConfiguration.operator_fields | {
        *("cluster_config", "credentials", "context", "namespace", "service_account", "image_pull_secrets"),
        *("node_selector", "tolerations", "gpu_resource", "gpu_label", "volumes", "secret_env", "priority_class"),
        *("kueue_queue", "labels", "annotations", "ttl_seconds", "active_deadline", "run_as_user"),
        *("outputs_image", "outputs_wait", "dataset_limit"),
    }

    gpu_type: LabelValue | None = Field(
        default=None,
        min_length=1,
        title="GPU type",
        description="Only nodes whose label gpu_label has this value, e.g. NVIDIA-L4; null: any.",
    )
    manifest: JsonObject = Field(
        default=PLAIN_JOB,
        title="Workload",
        description="The object that is made for each attempt, of any kind. Its containers without image are the "
        "program's: they get image, command, variables, limits.",
    )
    cluster_config: str | None = Field(
        default=None, max_length=255, description="KubernetesClusterConfig block with the cluster's kubeconfig."
    )
    credentials: str | None = Field(
        default=None, max_length=255, description="KubernetesCredentials block for the cluster."
    )
    context: str | None = Field(
        default=None,
        max_length=255,
        description="Context of the agent's kubeconfig; null: the cluster it runs in, else the current one.",
    )
    namespace: Label = Field(default="default", description="Where everything of a run is made.")
    service_account: Dns | None = Field(
        default=None, description="Of the pods, whose token they get; null: the namespace's, and no token."
    )
    image_pull_secrets: tuple[Dns, ...] = Field(default=(), max_length=16)
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32)
    gpu_resource: Annotated[str, StringConstraints(pattern=LABEL_KEY)] = Field(
        default="nvidia.com/gpu", description="The resource that the job variable gpus counts."
    )
    gpu_label: Annotated[str, StringConstraints(pattern=LABEL_KEY)] = Field(
        default="nvidia.com/gpu.product", description="The node label that the job variable gpu_type is a value of."
    )
    volumes: tuple[ClusterVolume, ...] = Field(default=(), max_length=32)
    secret_env: dict[EnvName, SecretKey] = Field(
        default_factory=dict,
        description="Variables from Kubernetes Secrets: name → SECRET/KEY. The agent's file has to grant them.",
    )
    priority_class: Dns | None = None
    kueue_queue: Dns | None = Field(
        default=None, description="LocalQueue of Kueue: the object is made suspended, and Kueue lets it go."
    )
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, description="Of the object and its pods.")
    annotations: dict[LabelKey, str] = Field(default_factory=dict, description="Of the object and its pods.")
    ttl_seconds: int | None = Field(
        default=None,
        ge=600,
        le=31_536_000,
        description="Kubernetes removes what an agent left that never came back; it is never the ordinary way.",
    )
    active_deadline: int | None = Field(
        default=None, ge=1, le=31_536_000, description="Kubernetes' own limit in seconds, from the object's start."
    )
    outputs_image: str | None = Field(
        default=None,
        max_length=512,
        description="Image of the container that keeps outputs until they are fetched, with /bin/sh and tar; null: the "
        "program's own.",
    )
    outputs_wait: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="Most seconds for which it waits for an agent after the program's end; the pod keeps its GPUs.",
    )
    dataset_limit: Quantity = Field(
        default="10Gi",
        description="Most bytes of datasets that are brought to each pod, through the API server, while it has its "
        "GPUs already.",
    )
    run_as_user: int | None = Field(
        default=1000,
        ge=1,
        le=2_147_483_647,
        description="User and group; null: the image's own, which must be a number.",
    )

    @property
    def dataset_limit_bytes(self) -> int:
        """Most bytes of datasets that a pod gets."""
        return parse_quantity(self.dataset_limit)

    @model_validator(mode="before")
    @classmethod
    def _default_for_none(cls, values: object) -> object:
        """What a template leaves null has its default."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in cast("JsonObject", values).items() if value is not None}
