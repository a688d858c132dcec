"""`launch prune`: make room by age, number and size."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack, cast

import click

from launch_jobs.cli.output import emit, json_option, next_command, progress, table, warn
from launch_jobs.cli.params import duration
from launch_jobs.cli.session import server_session
from launch_jobs.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pydantic import JsonValue

    from launch_jobs.retention import Item, Kind, Limits, Plan

T = TypeVar("T")

_KINDS = ("runs", "logs", "outputs", "images", "venvs", "sources", "datasets", "blobs")


class _Given(TypedDict):
    only: tuple[str, ...]
    older_than: tuple[str, ...]
    max_size: tuple[str, ...]
    keep_last: tuple[str, ...]
    strangers: bool


@click.command("prune")
@click.option("--only", metavar="KIND", type=click.Choice(_KINDS), multiple=True, help="Only this kind; repeatable.")
@click.option(
    "--older-than", metavar="[KIND=]AGE", multiple=True, help="What is unused for longer goes: 12h, 30d; repeatable."
)
@click.option(
    "--max-size", metavar="[KIND=]SIZE", multiple=True, help="The longest unused go until this is left: 20Gi, 500M."
)
@click.option("--keep-last", metavar="[KIND=]N", multiple=True, help="The newest N stay, whatever their age and size.")
@click.option("--strangers", is_flag=True, help="Also runs in the store that this server does not know.")
@click.option("--dry-run", is_flag=True, help="List what would go; remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def prune_command(dry_run: bool, yes: bool, as_json: bool, **given: Unpack[_Given]) -> None:
    """Remove what nobody needs any more.

    \b
    KIND     what it is                                unless told otherwise goes
    runs     runs that are over, with all they left     after 90d, but not the last 50
    logs     their logs alone                           over 5Gi, the oldest first
    outputs  their outputs alone; metrics stay          over 50Gi, the oldest first
    images   images built here                          14d after their last run; over 50Gi
    venvs    environments of process queues             30d after their last run; over 20Gi
    sources  checkouts and folders of ended attempts    after 1d
    datasets datasets kept to be mounted                30d after their last use; over 50Gi
    blobs    content of deleted jobs, killed captures   after 7d, at least 1d

    Job versions always stay, and whatever a queued or active run needs: its image, environment, datasets. An image
    that a container has stays, too. An option without KIND is for all kinds.
    """
    limits = _limits(given)
    session = server_session()
    from launch_jobs.retention import plan, settled
    from launch_jobs.retention.shelves import look_around, shelf

    around = look_around(session.settings, session.store, strangers=given["strangers"])
    plans, unlooked = _each(list(limits), lambda kind: plan(shelf(kind, around), limits[kind], _now()))
    plans = settled(plans)
    if not as_json:
        _print_plans(plans)
    if dry_run or not any(plan.going for plan in plans) or not _agreed(plans, yes):
        _finish(plans, None, unlooked, as_json)
        return
    from launch_jobs.retention import carry_out

    again = look_around(session.settings, session.store, strangers=given["strangers"])
    by_kind = {plan.kind: plan for plan in plans}
    gone, unremoved = _each(list(by_kind), lambda kind: carry_out(by_kind[kind], shelf(kind, again), progress))
    _finish(plans, [item for items in gone for item in items], {**unlooked, **unremoved}, as_json)


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _limits(given: _Given) -> dict[Kind, Limits]:
    """The limits of each kind that is looked at: its defaults, changed by what was typed.

    Raises:
        BadInput: a kind, age, size or number cannot be one.
    """
    from launch_jobs.retention import DEFAULTS, Kind
    from launch_jobs.targets.quantity import parse_quantity

    ages = _by_kind(given["older_than"], _age)
    sizes = _by_kind(given["max_size"], parse_quantity)
    numbers = _by_kind(given["keep_last"], _number)
    found: dict[Kind, Limits] = {}
    for kind in (Kind(name) for name in given["only"] or _KINDS):
        default = DEFAULTS[kind]
        found[kind] = default.model_copy(
            update={
                "older_than_s": ages.get(kind, ages.get("", default.older_than_s)),
                "max_bytes": sizes.get(kind, sizes.get("", default.max_bytes)),
                "keep_last": numbers.get(kind, numbers.get("", default.keep_last)),
            }
        )
    return found


def _by_kind(texts: tuple[str, ...], read: Callable[[str], T]) -> dict[str, T]:
    """`KIND=value` by its kind; a value for all kinds under the empty one."""
    found: dict[str, T] = {}
    for text in texts:
        kind, equals, value = text.rpartition("=")
        if equals and kind not in _KINDS:
            raise BadInput(f"{kind[:40]!r} is nothing that can be pruned", do=f"Choose one of {', '.join(_KINDS)}")
        found[kind] = read(value)
    return found


def _age(text: str) -> float | None:
    if text == "never":
        return None
    return 0.0 if text in {"0", "0s"} else duration(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadInput(f"{text[:40]!r} is no number", do="Write how many stay, e.g. 10")
    return int(text)


def _each(kinds: list[Kind], work: Callable[[Kind], T]) -> tuple[list[T], dict[str, Unavailable]]:
    """Work on each kind; one that nobody answers for does not keep the others from it."""
    done: list[T] = []
    failed: dict[str, Unavailable] = {}
    for kind in kinds:
        try:
            done.append(work(kind))
        except Unavailable as error:
            failed[kind.value] = error
    return done, failed


def _print_plans(plans: list[Plan]) -> None:
    from launch_jobs.cli.present import ago_text, size_text

    going = [item for plan in plans for item in plan.going]
    if going:
        rows = [(item.kind, item.name, size_text(item.bytes), ago_text(item.used.isoformat())) for item in going]
        table(("kind", "what goes", "size", "last used"), rows)
    for plan in plans:
        needed = f", {plan.needed} of them needed" if plan.needed else ""
        progress(f"{plan.kind}: {len(plan.going)} go, {plan.kept} stay ({size_text(plan.kept_bytes)}{needed})")


def _agreed(plans: list[Plan], yes: bool) -> bool:
    """Ask on a terminal; where nobody can be asked, the command itself is the word."""
    from launch_jobs.cli.present import size_text

    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    going = [item for plan in plans for item in plan.going]
    size = size_text(sum(item.bytes for item in going))
    return click.confirm(f"Remove {len(going)} things ({size})?", err=True)


def _finish(plans: list[Plan], gone: list[Item] | None, failed: dict[str, Unavailable], as_json: bool) -> None:
    """Say what is gone, and end with 4 if a kind could not be looked at."""
    from launch_jobs.cli.present import size_text

    removed = gone or []
    freed = sum(item.bytes for item in removed)
    if as_json:
        emit(_document(plans, removed, failed))
    elif gone is not None:
        click.echo(f"Removed {len(removed)}, freed {size_text(freed)} ({freed} bytes)")
    elif not any(plan.going for plan in plans):
        click.echo("Nothing to remove")
    for kind, error in failed.items():
        warn(f"{kind} not looked at: {error}")
    if failed:
        click.get_current_context().exit(Unavailable.exit_code)
    waits = gone is None and any(plan.going for plan in plans)
    next_command("the same without --dry-run" if waits else "launch list")


def _document(plans: list[Plan], gone: list[Item], failed: dict[str, Unavailable]) -> dict[str, JsonValue]:
    def told(items: list[Item]) -> list[JsonValue]:
        return cast(
            "list[JsonValue]",
            [item.model_dump(mode="json", include={"kind", "key", "name", "bytes", "used"}) for item in items],
        )

    going = [item for plan in plans for item in plan.going]
    return {
        "going": told(going),
        "going_bytes": sum(item.bytes for item in going),
        "removed": told(gone),
        "freed_bytes": sum(item.bytes for item in gone),
        "kept": {
            plan.kind.value: {"count": plan.kept, "bytes": plan.kept_bytes, "needed": plan.needed} for plan in plans
        },
        "unchecked": [{"kind": kind, "what": error.what, "do": error.do} for kind, error in failed.items()],
    }
