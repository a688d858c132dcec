"""What an agent concludes from the Leases of others."""

from __future__ import annotations

from datetime import UTC, datetime

from launch_jobs.cluster.leases import LEFT_S, Lease
from launch_jobs.workers.sightings import Sightings

_AT = datetime(2026, 11, 23, tzinfo=UTC)


def _lease(holder: str, version: int, duration_s: int = 15) -> Lease:
    return Lease(f"agent_{holder}", duration_s, _AT, "", str(version))


def _look(sightings: Sightings, at: float, *leases: Lease) -> set[str]:
    return sightings.look(leases, at, at)


def test_who_does_not_renew_is_dead_when_its_lease_is_over() -> None:
    """Told once, and no sooner; the other one, who goes on, is not."""
    seen = Sightings(most_s=6)
    news = [_look(seen, at, _lease("a", 1), _lease("b", at)) for at in range(0, 25, 3)]
    assert news == [set(), set(), set(), set(), set(), {"a"}, set(), set(), set()]
    assert (seen.is_dead("a"), seen.is_dead("b"), seen.has_left("a")) == (True, False, False)


def test_who_renews_again_lives() -> None:
    """As an agent does that was frozen."""
    seen = Sightings(most_s=6)
    for at in range(0, 20, 3):
        _look(seen, at, _lease("a", 1))
    assert seen.is_dead("a")
    _look(seen, 21, _lease("a", 2))
    assert not seen.is_dead("a")


def test_time_in_which_nobody_looked_proves_little() -> None:
    """After an hour without an API server, or frozen, others first get the time to renew."""
    seen = Sightings(most_s=6)
    news = [_look(seen, at, _lease("a", 1)) for at in (0, 3600, 3603, 3606, 3609)]
    assert news == [set(), set(), set(), set(), {"a"}]


def test_a_slow_read_proves_no_more_than_what_lay_between() -> None:
    """Its beginning counts, and the end of the one before."""
    seen = Sightings(most_s=100)
    assert seen.look([_lease("a", 1)], 0, 10) == set()
    assert seen.look([_lease("a", 1)], 20, 30) == set()
    assert seen.look([_lease("a", 1)], 35, 36) == {"a"}


def test_who_has_left_is_gone_at_once() -> None:
    """Also for an agent that sees it so at its first look."""
    seen = Sightings(most_s=6)
    assert _look(seen, 0, _lease("a", 2, LEFT_S)) == {"a"}
    assert seen.has_left("a")


def test_a_lease_that_somebody_else_has_now_proves_nothing() -> None:
    """Nor does one that was deleted."""
    seen = Sightings(most_s=6)
    for at in range(0, 20, 3):
        _look(seen, at, _lease("a", 1))
    _look(seen, 21, _lease("b", 2))
    assert not seen.is_dead("a")
