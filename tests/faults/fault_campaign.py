"""The campaign of faults: rounds of runs, each under a fault, and what they violated. `scripts/faults --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from fault_bench import Bench, bench
from fault_checker import Violation, longest_recovery, violations
from fault_control import NAMES, stock_round
from fault_round import new_round
from fault_table import FAULTS, Fault

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
        stock: with stock workers, as control.
        docker: on docker queues.
    """

    seed: int = 0
    at_once: int = 4
    patience: float = 1.0
    stock: bool = False
    docker: bool = False


@dataclass(frozen=True)
class Played:
    """A round, as the table shows it."""

    fault: str
    what: str
    runs: int
    seconds: float
    recovery: float
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]


async def play(bench: Bench, fault: Fault, folder: Path, runs: int, *, stock: bool = False) -> Played:
    """Play one round; with stock workers in place of our agents, as control."""
    begun = time.monotonic()
    async with (stock_round if stock else new_round)(bench, folder, limit=fault.limit) as round:
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


async def campaign(faults: Sequence[Fault], folder: Path, options: Options, say: Callable[[str], None]) -> list[Played]:
    """Play all rounds on one bench, then `launch check`; each round has a number of runs of its own."""
    played: list[Played] = []
    async with bench(folder, seed=options.seed, patience=options.patience, docker=options.docker) as made:
        for number, fault in enumerate(faults):
            name = f"{number:03}-{fault.number.replace(':', '-')}"
            result = await _one(made, fault, folder / "rounds" / name, options)
            played.append(result)
            say(line(result))
        begun = time.monotonic()
        end = Played("check", "launch check", 0, 0.0, 0.0, await check(made), ())
        played.append(replace(end, seconds=time.monotonic() - begun))
        say(line(played[-1]))
    return played


async def _one(made: Bench, fault: Fault, folder: Path, options: Options) -> Played:
    try:
        return await play(made, fault, folder, options.at_once, stock=options.stock)
    except Exception as error:  # noqa: BLE001 - a bench that breaks is told, and the next round goes on
        broken = Violation("bench", fault.number, f"{type(error).__name__}: {error}")
        await made.repair()
        return Played(fault.number, fault.what, 0, 0.0, 0.0, (broken,), ())


def line(played: Played) -> str:
    """A round in words."""
    found = Counter(violation.invariant for violation in played.violations)
    verdict = " ".join(f"{name}: {number}" for name, number in sorted(found.items())) or "ok"
    head = f"{played.fault:<18} {played.what:<40} {played.runs:>4} runs {played.seconds:>6.1f} s"
    tail = [f"    {violation}" for violation in played.violations[:5]] + [f"    ({note})" for note in played.notes]
    return "\n".join([f"{head}  recovery {played.recovery:>5.1f} s  {verdict}", *tail])


def total(played: list[Played]) -> str:
    """The last line."""
    found = Counter(violation.invariant for one in played for violation in one.violations)
    missed = sum(note.startswith("missed") for one in played for note in one.notes)
    counted = ", ".join(f"{name}: {number}" for name, number in sorted(found.items())) or "none"
    return (
        f"{len(played) - 1} faults, {sum(one.runs for one in played)} runs, {missed} faults missed; "
        f"longest recovery {max((one.recovery for one in played), default=0):.1f} s; violations: {counted}"
    )


def chosen(arguments: argparse.Namespace) -> list[Fault]:
    """The rounds to play: those named or the short or the whole set, then by the seed until there are enough runs."""
    target = "docker" if arguments.docker else "process"
    pool = [fault for fault in _pool(arguments) if target in fault.targets]
    random, rounds = Random(arguments.seed), list(pool)
    while len(rounds) * arguments.at_once < arguments.runs:
        rounds.append(random.choice(pool))
    return rounds


def _pool(arguments: argparse.Namespace) -> list[Fault]:
    names = [name for name in arguments.faults.split(",") if name]
    if names:
        found = {name: [fault for fault in FAULTS if name in {fault.number, fault.family}] for name in names}
        if unknown := [name for name, faults in found.items() if not faults]:
            sys.exit(f"no such fault: {', '.join(unknown)}; see --list")
        return [fault for name in names for fault in found[name]]
    if arguments.stock:
        return [fault for fault in FAULTS if fault.number in NAMES]
    return [fault for fault in FAULTS if fault.short or not arguments.short]


def options() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser("faults", description="Break everything around the agents; look what is lost.")
    parser.add_argument("--short", action="store_true", help="a choice of faults, for CI")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0, help="go on with faults by the seed until so many runs")
    parser.add_argument("--at-once", type=int, default=4, help="runs a round")
    parser.add_argument("--faults", default="", help="only these, F06,F10…")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on all times, for a busy machine")
    parser.add_argument("--stock", action="store_true", help="the control: stock process workers in place of agents")
    parser.add_argument("--docker", action="store_true", help="on docker queues")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--keep", type=Path, help="folder for histories and agents' logs")
    return parser


def main() -> int:
    """Play a campaign; 1 if anything was violated."""
    arguments = options().parse_args()
    if arguments.list:
        print("\n".join(f"{fault.number:<18} {fault.what}" for fault in FAULTS))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # so that all is taken down
    say: Callable[[str], None] = (lambda _: None) if arguments.json else (lambda text: print(text, flush=True))
    with tempfile.TemporaryDirectory(prefix="lj-faults-") as name:
        folder = Path(name)
        rounds = chosen(arguments)
        played = asyncio.run(
            campaign(
                rounds,
                folder,
                Options(arguments.seed, arguments.at_once, arguments.patience, arguments.stock, arguments.docker),
                say,
            )
        )
        if arguments.keep:
            shutil.copytree(folder / "rounds", arguments.keep, dirs_exist_ok=True)
    print(json.dumps([asdict(one) for one in played]) if arguments.json else total(played))
    return int(any(one.violations for one in played))


if __name__ == "__main__":
    sys.exit(main())
