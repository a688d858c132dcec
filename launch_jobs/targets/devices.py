"""Exact devices of one attempt: in its container's request, in its process's environment, and on its label. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from launch_jobs.targets import RunSpec

DEVICES_LABEL = "org.launch-jobs.devices"
_GPU = "gpu:"


@runtime_checkable
class DeviceHolder(Protocol):
    """A target that can tell which devices its living attempts hold, whoever made them."""

    async def held_devices(self) -> dict[str, tuple[str, ...]]:
        """Run id → names of its devices."""
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


def device_label(spec: RunSpec) -> dict[str, str]:
    """How an attempt says what it holds, to agents that know nothing else of it."""
    return {DEVICES_LABEL: ",".join(spec.devices)} if spec.devices else {}


def devices_on(label: str) -> tuple[str, ...]:
    """What `device_label` wrote."""
    return tuple(name for name in label.split(",") if name)
