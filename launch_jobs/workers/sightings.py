"""Which agents are proven dead by Leases that they do not renew. Pure: what was read, and when, is told to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launch_jobs.cluster.leases import LEFT_S, Lease


@dataclass(slots=True)
class _Life:
    """Of one agent.

    Attributes:
        versions: of its Leases, when they were last seen.
        limit_s: for how long it may be silent.
        silent_s: for how long it was.
    """

    versions: frozenset[str]
    limit_s: int
    silent_s: float = 0.0

    @property
    def is_left(self) -> bool:
        return self.limit_s <= LEFT_S

    @property
    def is_over(self) -> bool:
        return self.is_left or self.silent_s >= self.limit_s


class Sightings:
    """What one agent has seen of the others.

    Clocks of different machines are not compared: an agent is dead when its Lease stayed as it was for as long as it
    counts, while we looked. Time in which we did not look counts for little (the API server may have been away, or we
    were frozen: then its renewal may be on its way).

    Args:
        most_s: that a pause between two looks counts for.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._lives: dict[str, _Life] = {}
        self._until: float | None = None

    def look(self, leases: Sequence[Lease], since: float, until: float) -> set[str]:
        """Take in what was read between two moments of one clock; who has died or left since the look before."""
        passed = 0.0 if self._until is None else min(since - self._until, self._most_s)
        known, self._until = self._lives, until
        self._lives = {one: self._life(one, leases, passed) for one in {lease.identity for lease in leases}}
        return {one for one, life in self._lives.items() if life.is_over and not (one in known and known[one].is_over)}

    def is_dead(self, identity: str) -> bool:
        """Whether an agent is dead, or has left. One that has no Lease any more is not proven to be anything."""
        return identity in self._lives and self._lives[identity].is_over

    def has_left(self, identity: str) -> bool:
        """Whether an agent went because it was asked to."""
        return identity in self._lives and self._lives[identity].is_left

    def _life(self, identity: str, leases: Sequence[Lease], passed: float) -> _Life:
        own = [lease for lease in leases if lease.identity == identity]
        versions = frozenset(lease.version for lease in own)
        before = self._lives.get(identity)
        silent_s = before.silent_s + passed if before is not None and before.versions == versions else 0.0
        return _Life(versions, max(lease.duration_s for lease in own), silent_s)
