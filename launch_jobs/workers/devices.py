"""What an agent owns of its host (GPUs, CPUs, memory): who has what, whose turn it is. Used from several threads."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from launch_jobs.agent_file import AgentFile
from launch_jobs.errors import LaunchError
from launch_jobs.job import JsonObject
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.devices import Held
from launch_jobs.targets.template import merge_variables, render_configuration


class Wanted(NamedTuple):
    """What a run takes of its agent.

    Attributes:
        gpus: how many.
        cpus: processors; one that says nothing takes one.
        memory: bytes of its limit; one without a limit takes none.
    """

    gpus: int = 0
    cpus: float = 1.0
    memory: int = 0


class Capacity(NamedTuple):
    """How much of its host an agent gives to runs at once; None: nobody counts.

    Attributes:
        cpus: processors.
        memory: bytes.
    """

    cpus: float | None = None
    memory: int | None = None


class _Stock(NamedTuple):
    """One kind of what an agent owns, and a run's wish for it."""

    wanted: float
    whole: float | None
    free: float
    what: str
    unit: float = 1

    @property
    def is_counted(self) -> bool:
        return self.whole is not None and self.wanted > 0

    @property
    def text(self) -> str:
        plural = "s" if self.what in {"GPU", "CPU"} and self.wanted != 1 else ""
        return f"{self.wanted / self.unit:.4g} {self.what}{plural}"

    @property
    def free_text(self) -> str:
        return f"{max(0, self.free) / self.unit:.4g} of {(self.whole or 0) / self.unit:.4g} are free"


class Devices:
    """Gives runs exact devices and a part of the host, first in line first.

    Args:
        names: of the devices; None: nobody counts them, and every run may have what the engine gives.
        capacity: CPUs and memory.
    """

    def __init__(self, names: Collection[str] | None, capacity: Capacity | None = None) -> None:
        self.names = None if names is None else tuple(dict.fromkeys(names))
        self.capacity = capacity or Capacity()
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._own: set[str] = set()
        self._waiting: tuple[str, str, Wanted] | None = None
        """Queue, id and wishes of the run for which what is free is kept until there is enough."""

    @property
    def is_counted(self) -> bool:
        """Whether there is anything to be counted."""
        return self.names is not None or self.capacity != (None, None)

    @property
    def free(self) -> tuple[str, ...]:
        """Devices that nobody holds."""
        taken = {name for held in self._held.values() for name in held.devices}
        return tuple(name for name in self.names or () if name not in taken)

    def fits(self, wanted: Wanted) -> bool:
        """Whether this agent has so much at all."""
        return all(one.wanted <= (one.whole or 0) for one in self._stocks(wanted) if one.is_counted)

    def claim(self, queue: str, run: str, wanted: Wanted) -> bool:
        """Take what the run that is first in its queue's line wants; whether there was enough.

        If not, what is free and becomes free is kept for it: smaller runs behind it, here or in another queue, do not
        pass, but where enough is left for it.
        """
        with self._lock:
            if not all(one.wanted <= self._left(queue, run, index) for index, one in self._counted(wanted)):
                if self._waiting is None:
                    self._waiting = (queue, run, wanted)
                return False
            if self._waiting and self._waiting[:2] == (queue, run):
                self._waiting = None
            self._take(run, wanted)
            return True

    def _counted(self, wanted: Wanted) -> list[tuple[int, _Stock]]:
        return [(index, one) for index, one in enumerate(self._stocks(wanted)) if one.is_counted]

    def _left(self, queue: str, run: str, index: int) -> float:
        """How much of one kind is free for a run: what is kept for another is not."""
        kept = self._waiting[2][index] if self._waiting and self._waiting[:2] != (queue, run) else 0
        return self._stocks(Wanted())[index].free - kept

    def take(self, run: str, number: int) -> tuple[str, ...] | None:
        """The devices of a run that is in already (adopted before it was started), taken now; None: not enough yet."""
        with self._lock:
            if not self._held.get(run, Held()).devices and len(self.free) < number:
                return None
            return self._take(run, Wanted(number))

    def _take(self, run: str, wanted: Wanted) -> tuple[str, ...]:
        held = self._held.get(run)
        if held is None or (wanted.gpus and not held.devices):
            more = held or Held((), wanted.cpus, wanted.memory)
            self._held[run] = more._replace(devices=self.free[: wanted.gpus])
        self._own.add(run)
        return self._held[run].devices

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

    def found(self, living: Mapping[str, Held]) -> None:
        """What living attempts say that they hold; beside it counts what was given to runs of this agent."""
        with self._lock:
            own = {run: held for run, held in self._held.items() if run in self._own}
            self._held = {**living, **own}

    def lack(self, wanted: Wanted, agent: str) -> str:
        """What a run waits for at this agent, for people: `4 GPUs (2 of 4 are free on agent host)`."""
        stocks = [one for _, one in self._counted(wanted)]
        if missing := next((one for one in stocks if one.wanted > (one.whole or 0)), None):
            return f"an agent with {missing.text} ({agent} has {(missing.whole or 0) / missing.unit:.4g})"
        if short := next((one for one in stocks if one.wanted > one.free), None):
            return f"{short.text} ({short.free_text} on agent {agent})"
        kept = " and ".join(one.text for one in stocks)
        return f"{kept} (what is free on agent {agent} is kept for a run before it)"

    def _stocks(self, wanted: Wanted) -> tuple[_Stock, _Stock, _Stock]:
        """GPUs, CPUs and memory, as in `Wanted`."""
        gpus = None if self.names is None else len(self.names)
        cpus, memory = self.capacity
        held = self._held.values()
        # Rounded, for tenths of a processor add up to less than a whole one.
        free_cpus = round((cpus or 0) - sum(one.cpus for one in held), 6)
        free_memory = (memory or 0) - sum(one.memory for one in held)
        return (
            _Stock(wanted.gpus, gpus, len(self.free), "GPU"),
            _Stock(wanted.cpus, cpus, free_cpus, "CPU"),
            _Stock(wanted.memory, memory, free_memory, "GiB of memory", 2**30),
        )


def wanted_by(template: JsonObject, layers: Sequence[JsonObject], model: type[ProcessConfiguration]) -> Wanted:
    """What a run will ask for; next to nothing where its values are wrong, for its flow tells that. Pure."""
    try:
        asked = render_configuration(template, merge_variables(template, *layers), model)
    except LaunchError:
        return Wanted()
    if isinstance(asked, DockerConfiguration):
        return Wanted(asked.gpus, 1.0 if asked.cpus is None else asked.cpus, asked.memory_bytes or 0)
    return Wanted(asked.gpus)


def owned_devices(given: Sequence[str] | None, agent: AgentFile) -> Devices:
    """What the operator gives to the agent: GPUs, else those that the driver tells of, and what its file says."""
    return Devices(detected() if given is None else given, Capacity(agent.cpus, agent.memory_bytes))


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
