"""The devices that an agent owns: who has which, and whose turn it is. Used from several threads."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from launch_jobs.errors import LaunchError
from launch_jobs.job import JsonObject
from launch_jobs.targets.configuration import ProcessConfiguration
from launch_jobs.targets.template import merge_variables, render_configuration


class Devices:
    """Assigns exact devices to runs, first in line first.

    Args:
        names: of the devices; None: nobody counts them, and every run may have what the engine gives.
    """

    def __init__(self, names: Collection[str] | None) -> None:
        self.names = None if names is None else tuple(dict.fromkeys(names))
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, ...]] = {}
        self._own: set[str] = set()
        self._waiting: tuple[str, str] | None = None
        """Queue and id of the run for which free devices are kept until there are enough."""

    @property
    def free(self) -> tuple[str, ...]:
        """Devices that nobody holds."""
        taken = {name for held in self._held.values() for name in held}
        return tuple(name for name in self.names or () if name not in taken)

    def fits(self, number: int) -> bool:
        """Whether this agent has so many at all."""
        return self.names is None or number <= len(self.names)

    def claim(self, queue: str, run: str, number: int) -> bool:
        """Take devices for the run that is first in its queue's line; whether there were enough.

        If not, those that are free and that become free are kept for it: smaller runs behind it, here or in another
        queue, do not pass.
        """
        if self.names is None or not number:
            return True
        with self._lock:
            if self._waiting not in {None, (queue, run)}:
                return False
            is_taken = self._take(run, number) is not None
            self._waiting = None if is_taken else (queue, run)
            return is_taken

    def take(self, run: str, number: int) -> tuple[str, ...] | None:
        """The devices of a run that is in already (adopted before it was started), taken now; None: not enough yet."""
        with self._lock:
            return self._take(run, number)

    def _take(self, run: str, number: int) -> tuple[str, ...] | None:
        if run not in self._held:
            if len(self.free) < number:
                return None
            self._held[run] = self.free[:number]
        self._own.add(run)
        return self._held[run]

    def give(self, run: str) -> None:
        """A run is over, or was given back."""
        with self._lock:
            self._held.pop(run, None)
            self._own.discard(run)

    def leave_line(self, queue: str, waiting: Collection[str] = ()) -> None:
        """Keep nothing for a run that waits no more in its queue."""
        with self._lock:
            if self._waiting and self._waiting[0] == queue and self._waiting[1] not in waiting:
                self._waiting = None

    def found(self, living: Mapping[str, tuple[str, ...]]) -> None:
        """What living attempts say that they hold; beside it counts what was given to runs of this agent."""
        with self._lock:
            own = {run: held for run, held in self._held.items() if run in self._own}
            self._held = {**living, **own}


def gpus_wanted(template: JsonObject, layers: Sequence[JsonObject], model: type[ProcessConfiguration]) -> int:
    """How many GPUs a run will ask for; 0 where its values are wrong, for its flow tells that. Pure."""
    try:
        return render_configuration(template, merge_variables(template, *layers), model).gpus
    except LaunchError:
        return 0


def owned_devices(given: Sequence[str] | None) -> Devices:
    """Those that the operator gives to the agent, else what the driver tells of."""
    return Devices(detected() if given is None else given)


def detected() -> tuple[str, ...] | None:
    """The GPUs that NVIDIA's driver tells of by NVML; None: without `nvidia-ml-py` or a driver nobody knows."""
    try:
        nvml: Any = importlib.import_module("pynvml")  # optional, and without types
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        return tuple(f"gpu:{index}" for index in range(nvml.nvmlDeviceGetCount())) or None
    except nvml.NVMLError:
        return None
