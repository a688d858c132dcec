"""What `launch prune` chooses, decided from items and limits alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.retention import Item, Kind, Limits, carry_out, choose, plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86400.0


def _item(key: str, days: float, *, size: int = 10, needed: str = "", under: tuple[str, ...] = ()) -> Item:
    used = NOW - timedelta(days=days)
    return Item(kind=Kind.IMAGES, key=key, name=key, bytes=size, used=used, needed=needed, under=frozenset(under))


def _chosen(items: list[Item], limits: Limits) -> list[str]:
    return [item.key for item in choose(items, limits, NOW)]


def test_what_is_too_old_goes_longest_unused_first() -> None:
    """The newest ones that are to be kept stay whatever their age."""
    items = [_item("a", 9), _item("b", 30), _item("c", 20), _item("d", 1)]
    assert _chosen(items, Limits(older_than_s=5 * DAY)) == ["b", "c", "a"]
    assert _chosen(items, Limits(older_than_s=5 * DAY, keep_last=2)) == ["b", "c"]


def test_over_the_size_the_longest_unused_go_until_it_fits() -> None:
    """What somebody needs counts, and stays."""
    items = [_item("a", 1, size=40), _item("b", 2, size=30), _item("c", 3, size=20), _item("d", 4, needed="run r")]
    assert _chosen(items, Limits(max_bytes=60)) == ["c", "b"]
    assert _chosen(items, Limits(max_bytes=0, keep_last=1)) == ["c", "b"]


def test_what_others_stand_on_goes_after_all_of_them_or_stays() -> None:
    """An environment's image goes only with the last of its jobs' images, and after them."""
    base, above, kept = _item("env", 40, under=("j1", "j2")), _item("j1", 30), _item("j2", 1)
    assert _chosen([base, above, kept], Limits(older_than_s=5 * DAY)) == ["j1"]
    assert _chosen([base, above, kept], Limits(older_than_s=0.0)) == ["j1", "j2", "env"]


class _Memory:
    """A shelf in memory."""

    kind = Kind.IMAGES

    def __init__(self, items: list[Item]) -> None:
        self.there = items

    def items(self) -> list[Item]:
        return self.there

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        for item in items:
            self.there.remove(item)
            yield item


def test_what_is_needed_by_the_time_of_the_removal_stays() -> None:
    """The shelf is looked at again, and what stands on a thing that stays keeps it."""
    items = [_item("a", 30), _item("job", 30), _item("env", 30, under=("job",))]
    planned = plan(_Memory(items), Limits(older_than_s=DAY), NOW)
    later = _Memory([items[0], _item("job", 30, needed="run r"), items[2]])
    assert [item.key for item in planned.going] == ["a", "job", "env"]
    assert [item.key for item in carry_out(planned, later, lambda _: None)] == ["a"]


@given(
    st.lists(st.tuples(st.floats(0, 99), st.integers(0, 50), st.booleans()), max_size=20),
    st.one_of(st.none(), st.floats(0, 99 * DAY)),
    st.one_of(st.none(), st.integers(0, 500)),
    st.integers(0, 25),
)
def test_laws(shapes: list[tuple[float, int, bool]], older: float | None, size: int | None, keep: int) -> None:
    """Nothing needed and none of the newest goes; nothing stays that is too old, or too much, without such a reason."""
    items = [_item(str(n), days, size=s, needed="x" if needed else "") for n, (days, s, needed) in enumerate(shapes)]
    limits = Limits(older_than_s=older, max_bytes=size, keep_last=keep)
    going = {item.key for item in choose(items, limits, NOW)}
    newest = sorted(items, key=lambda item: (item.used, item.key), reverse=True)[:keep]
    held = {item.key for item in newest} | {item.key for item in items if item.needed}
    assert not going & held
    stays = [item for item in items if item.key not in going and item.key not in held]
    assert older is None or all(NOW - item.used <= timedelta(seconds=older) for item in stays)
    if size is not None and stays:
        assert sum(item.bytes for item in items if item.key not in going) <= size
