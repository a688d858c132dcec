"""What one attempt holds of its host: in its container's request, in its process's environment, on its labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from launch_jobs.targets import RunSpec

DEVICES_LABEL = "org.launch-jobs.devices"
CPUS_LABEL = "org.launch-jobs.cpus"
MEMORY_LABEL = "org.launch-jobs.memory"
_GPU = "gpu:"


class Held(NamedTuple):
    """What a living attempt holds.

    Attributes:
        devices: names of its GPUs.
        cpus: processors; of an attempt without a limit one.
        memory: bytes of its limit; 0: it has none.
    """

    devices: tuple[str, ...] = ()
    cpus: float = 1.0
    memory: int = 0


@runtime_checkable
class DeviceHolder(Protocol):
    """A target that can tell what its living attempts hold, whoever made them."""

    async def held_devices(self) -> dict[str, Held]:
        """Run id → what its attempt holds."""
        ...


def with_devices(spec: RunSpec, devices: tuple[str, ...]) -> RunSpec:
    """The spec of an attempt that has these devices; the program finds their ids in LAUNCH_GPUS."""
    ids = ",".join(name.partition(":")[2] for name in devices)
    env = {"LAUNCH_GPUS": ids}
    if spec.source is not None and all(name.startswith(_GPU) for name in devices):
        # Else CUDA numbers devices by their speed, and NVML by their place.
        env |= {"CUDA_VISIBLE_DEVICES": ids, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return spec.model_copy(update={"devices": devices, "env": {**spec.env, **env}})


def device_request(spec: RunSpec) -> JsonObject | None:
    """What the Docker Engine is asked for: exactly the assigned devices, or, where nobody assigns, as many."""
    if not spec.gpus:
        return None
    asked: JsonObject = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
    if not spec.devices:
        return {**asked, "Count": spec.gpus}
    ids = [name.removeprefix(_GPU) for name in spec.devices if name.startswith(_GPU)]
    return {**asked, "Count": 0, "DeviceIDs": [*ids]} if ids else None


def held_labels(spec: RunSpec) -> dict[str, str]:
    """How an attempt says what it holds, to agents that know nothing else of it."""
    labels = {DEVICES_LABEL: ",".join(spec.devices)} if spec.devices else {}
    if spec.cpus is not None:
        labels[CPUS_LABEL] = f"{spec.cpus:g}"
    if spec.memory_bytes is not None:
        labels[MEMORY_LABEL] = str(spec.memory_bytes)
    return labels


def held_by(labels: Mapping[str, str]) -> Held:
    """What `held_labels` wrote; anything else among them says nothing."""
    return Held(
        devices=tuple(name for name in labels.get(DEVICES_LABEL, "").split(",") if name),
        cpus=float(labels.get(CPUS_LABEL, 1)),
        memory=int(labels.get(MEMORY_LABEL, 0)),
    )
