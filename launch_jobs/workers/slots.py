"""How many runs one agent works on at once, over all its queues, and on which devices."""

from __future__ import annotations

from launch_jobs.workers.devices import Devices


class Slots:
    """A counter with an upper limit; used from the agent's main thread only."""

    def __init__(self, limit: int | None, devices: Devices | None = None) -> None:
        self.limit = limit
        self.devices = devices or Devices(None)
        self.used = 0

    def restrict(self, limit: int | None) -> None:
        """Set a further limit; the smallest counts."""
        limits = [one for one in (self.limit, limit) if one is not None]
        self.limit = min(limits, default=None)

    @property
    def free(self) -> bool:
        """Whether one more run may be claimed."""
        return self.limit is None or self.used < self.limit

    def take(self) -> None:
        """Count one more run; an adopted one may exceed the limit, for it runs already."""
        self.used += 1

    def give(self) -> None:
        """Count one run less."""
        self.used -= 1
