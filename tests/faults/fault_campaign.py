"""The campaign of faults: rounds of runs, each under a fault, and what they violated."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from fault_bench import SCALED_OUTAGE_S, Bench, bench
from fault_checker import Violation, longest_recovery, violations
from fault_control import StockKind, stock_round
from fault_round import new_round
from fault_table import Fault

from launch_jobs.audit import audit

_FOREIGN = "this server knows no run"
"""Containers of others on the same engine; all of the campaign's own runs are known."""


@dataclass(frozen=True)
class Options:
    """How a campaign is played.

    Attributes:
        seed: of all choices.
        at_once: runs a round.
        patience: factor on all times.
        docker: on docker queues.
        outage_s: how long what goes away is away.
    """

    seed: int = 0
    at_once: int = 4
    patience: float = 1.0
    docker: bool = False
    outage_s: float = SCALED_OUTAGE_S

    @property
    def stock_kind(self) -> StockKind:
        """The type of the control's workers."""
        return "docker" if self.docker else "process"


@dataclass(frozen=True)
class Played:
    """A round, as the table shows it; `stock`: as control, which is to break promises."""

    fault: str
    what: str
    runs: int
    seconds: float
    recovery: float
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    stock: bool = False


async def play(bench: Bench, fault: Fault, folder: Path, runs: int, *, stock: StockKind | None = None) -> Played:
    """Play one round; with stock workers of that type in place of our agents, as control."""
    begun = time.monotonic()
    made = new_round(bench, folder, limit=fault.limit)
    if stock:
        made = stock_round(bench, folder, limit=fault.limit, kind=stock)
    async with made as round:
        await fault.inject(round, runs)
        await round.settle()
        history = await round.history()
        history.dump(folder / "history.json")
        found = violations(history, patience=bench.patience)
        _keep_logs(bench, folder)
        return Played(
            fault.number,
            fault.what,
            len({asked.key for asked in history.asked}),
            time.monotonic() - begun,
            longest_recovery(history),
            tuple(found),
            tuple(round.notes),
            bool(stock),
        )


def _keep_logs(bench: Bench, folder: Path) -> None:
    for agent in bench.agents:
        shutil.copy(agent.log, folder / agent.log.name)


async def check(bench: Bench) -> tuple[Violation, ...]:
    """`launch check`: the last step of every campaign."""
    found = await audit(bench.settings, lambda: bench.store, lambda _: None)
    return tuple(
        Violation("I7", fault.key, fault.what)
        for fault in found.faults
        if fault.kind == "damage"
        and not fault.what.startswith(_FOREIGN)
        and not any(run in fault.key for run in bench.elsewhere)
    )


async def campaign(
    rounds: Sequence[tuple[Fault, bool]], folder: Path, options: Options, say: Callable[[Played], None]
) -> list[Played]:
    """Play all rounds on one bench, then `launch check`; those with a True beside them last, with stock workers.

    Args:
        rounds: in this order. What a round does by chance is decided by the seed, its number and its fault alone.
        folder: empty.
        options: how they are played.
        say: is told of each.
    """
    played: list[Played] = []
    ours, control = ([fault for fault, stock in rounds if stock is which] for which in (False, True))

    def note(one: Played) -> None:
        played.append(one)
        say(one)

    async with bench(folder, patience=options.patience, docker=options.docker and bool(ours)) as made:
        made.outage_s = options.outage_s
        for number, fault in enumerate([*ours, *control]):
            kind = options.stock_kind if number >= len(ours) else None
            if control and number == len(ours):
                note(await _checked(made))  # before stock workers leave runs that nobody ends
            made.random = Random(f"{options.seed} {number} {fault.number}")
            name = f"{number:03}-{'stock-' if kind else ''}{fault.number.replace(':', '-')}"
            note(await _one(made, fault, folder / "rounds" / name, options.at_once, kind))
        if not control:
            note(await _checked(made))
    return played


async def _checked(made: Bench) -> Played:
    begun = time.monotonic()
    end = Played("check", "launch check", 0, 0.0, 0.0, await check(made), ())
    return replace(end, seconds=time.monotonic() - begun)


async def _one(made: Bench, fault: Fault, folder: Path, runs: int, stock: StockKind | None) -> Played:
    try:
        return await play(made, fault, folder, runs, stock=stock)
    except Exception as error:  # noqa: BLE001 - a bench that breaks is told, and the next round goes on
        broken = Violation("bench", fault.number, f"{type(error).__name__}: {error}")
        await made.repair()
        return Played(fault.number, fault.what, 0, 0.0, 0.0, (broken,), (), bool(stock))
