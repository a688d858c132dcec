"""`launch prune`: what may go, by age, number and size. The decision, as data and pure functions.

A shelf is one kind of things that pile up: it lists them, says which of them somebody needs, and removes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from launch_jobs.job import Frozen

Say = Callable[[str], None]


class Kind(StrEnum):
    """What `launch prune` knows to prune."""

    RUNS = "runs"
    LOGS = "logs"
    OUTPUTS = "outputs"
    IMAGES = "images"
    VENVS = "venvs"
    SOURCES = "sources"
    DATASETS = "datasets"
    BLOBS = "blobs"


class Limits(Frozen):
    """How much of one kind is kept: what is over any limit goes, but the newest `keep_last` stay whatever their age."""

    older_than_s: float | None = Field(default=None, ge=0, description="Age since the last use that is too old.")
    max_bytes: int | None = Field(default=None, ge=0, description="Together; the longest unused go first.")
    keep_last: int = Field(default=0, ge=0)


_DAY = 86400.0
_GIB = 1 << 30

DEFAULTS: Mapping[Kind, Limits] = {
    Kind.RUNS: Limits(older_than_s=90 * _DAY, keep_last=50),
    Kind.LOGS: Limits(max_bytes=5 * _GIB),
    Kind.OUTPUTS: Limits(max_bytes=50 * _GIB),
    Kind.IMAGES: Limits(older_than_s=14 * _DAY, max_bytes=50 * _GIB),
    Kind.VENVS: Limits(older_than_s=30 * _DAY, max_bytes=20 * _GIB),
    Kind.SOURCES: Limits(older_than_s=_DAY),
    Kind.DATASETS: Limits(older_than_s=30 * _DAY, max_bytes=50 * _GIB),
    Kind.BLOBS: Limits(older_than_s=7 * _DAY),
}


class Item(Frozen):
    """One thing that piled up."""

    kind: Kind
    key: str = Field(description="Unique in its kind.")
    name: str = Field(description="For people.")
    bytes: int = Field(ge=0, description="What its removal frees, about.")
    used: datetime = Field(description="When it was made or used last.")
    needed: str = Field(default="", description="Who needs it now; empty: nobody.")
    under: frozenset[str] = Field(
        default=frozenset(), description="Keys of items that stand on it; it goes only after all of them."
    )


class Shelf(Protocol):
    """All things of one kind. Both calls block."""

    @property
    def kind(self) -> Kind:
        """What is on it."""
        ...

    def items(self) -> list[Item]:
        """What there is, with who needs it.

        Raises:
            Unavailable: nobody answers there.
        """
        ...

    def remove(self, items: Sequence[Item]) -> Iterator[Item]:
        """Remove things that nobody needs, in this order; those that are gone, as they go.

        One that somebody turned out to use stays, and is not among them.
        """
        ...


def choose(items: Iterable[Item], limits: Limits, now: datetime) -> list[Item]:
    """The items of one kind that go, longest unused first. Pure."""
    newest_first = sorted(items, key=lambda item: (item.used, item.key), reverse=True)
    free = [item for item in newest_first[limits.keep_last :] if not item.needed]
    doomed = {item.key for item in free if _is_old(item, limits, now)}
    left = sum(item.bytes for item in newest_first if item.key not in doomed)
    for item in reversed(free):
        if limits.max_bytes is None or left <= limits.max_bytes:
            break
        if item.key not in doomed:
            doomed.add(item.key)
            left -= item.bytes
    # What stands on another goes first; nothing is pulled away from under what stays.
    going = [item for item in reversed(free) if item.key in doomed and item.under <= doomed]
    return sorted(going, key=lambda item: bool(item.under))


def _is_old(item: Item, limits: Limits, now: datetime) -> bool:
    return limits.older_than_s is not None and now - item.used > timedelta(seconds=limits.older_than_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a shelf would lose.

    Attributes:
        kind: what is on it.
        going: what goes, in this order.
        kept: how many things stay.
        kept_bytes: of those.
        needed: how many of them somebody needs.
    """

    kind: Kind
    going: tuple[Item, ...]
    kept: int
    kept_bytes: int
    needed: int


def plan(shelf: Shelf, limits: Limits, now: datetime) -> Plan:
    """Look at a shelf, and decide.

    Raises:
        Unavailable: nobody answers there.
    """
    items = shelf.items()
    going = choose(items, limits, now)
    return Plan(
        kind=shelf.kind,
        going=tuple(going),
        kept=len(items) - len(going),
        kept_bytes=sum(item.bytes for item in items) - sum(item.bytes for item in going),
        needed=sum(bool(item.needed) for item in items),
    )


def settled(plans: Iterable[Plan]) -> list[Plan]:
    """Plans that count nothing twice: with a run its logs and outputs go. Pure."""
    found = list(plans)
    runs = {item.key for plan in found if plan.kind is Kind.RUNS for item in plan.going}

    def settle(plan: Plan) -> Plan:
        if plan.kind not in {Kind.LOGS, Kind.OUTPUTS}:
            return plan
        going = tuple(item for item in plan.going if item.key.partition("/")[0] not in runs)
        return replace(plan, going=going)

    return [settle(plan) for plan in found]


def carry_out(plan: Plan, shelf: Shelf, say: Say) -> list[Item]:
    """Remove what a plan names; the items that are gone.

    The shelf is looked at anew: between the plan and the word to go on a run may have been submitted.
    """
    now = {item.key: item for item in shelf.items() if not item.needed}
    going = {item.key for item in plan.going} & now.keys()
    gone: list[Item] = []
    for item in shelf.remove([item for item in plan.going if item.key in going and now[item.key].under <= going]):
        say(f"Removed {item.name}")
        gone.append(item)
    return gone
