"""How much is measured."""

from __future__ import annotations

from launch_jobs.job import Frozen

PARTS = ("memory", "burst", "sqlite", "adoption", "leaving", "calls", "cancel")
"""In the order in which they are measured."""


class Sizes(Frozen):
    """Numbers of runs, and seconds; of the stock worker 0 means that it does not take part.

    Attributes:
        memory: runs at work.
        growth: runs served after the burst.
        burst: submits, on PostgreSQL; on SQLite a fifth.
        clients: who submit them.
        adoption: runs at work when the agent is killed.
        leaving: runs at work when the agent is asked to leave.
        idle_s: how long calls of an idle agent are counted.
        calls: runs whose calls are counted.
        cancel: cancels of queued and of running programs; of one that ignores SIGTERM there is one.
        stubborn: cancels of a program that ignores SIGTERM.
        stock_cancel: as `cancel`, and so on.
    """

    memory: int
    stock_memory: int
    growth: int
    burst: int
    stock_burst: int
    clients: int
    adoption: int
    stock_adoption: int
    leaving: int
    stock_leaving: int
    idle_s: float
    calls: int
    stock_calls: int
    cancel: int
    stubborn: int
    stock_cancel: int

    def alone(self) -> Sizes:
        """The same without the stock worker."""
        return self.model_copy(update={name: 0 for name in type(self).model_fields if name.startswith("stock_")})


WHOLE = Sizes(
    memory=100,
    stock_memory=50,
    growth=304,
    burst=500,
    stock_burst=500,
    clients=8,
    adoption=50,
    stock_adoption=5,
    leaving=20,
    stock_leaving=5,
    idle_s=30,
    calls=20,
    stock_calls=5,
    cancel=5,
    stubborn=1,
    stock_cancel=1,
)
SHORT = Sizes(
    memory=5,
    stock_memory=0,
    growth=16,
    burst=24,
    stock_burst=0,
    clients=4,
    adoption=5,
    stock_adoption=0,
    leaving=3,
    stock_leaving=0,
    idle_s=3,
    calls=3,
    stock_calls=0,
    cancel=1,
    stubborn=0,
    stock_cancel=0,
)
