"""The command line of the campaign of faults: `scripts/faults --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from fault_bench import REAL_OUTAGE_S
from fault_campaign import Options, Played, campaign
from fault_control import NAMES, SHORT
from fault_figures import keep
from fault_table import FAULTS, Fault


def line(played: Played) -> str:
    """A round in words."""
    found = Counter(violation.invariant for violation in played.violations)
    fine = "passes, so this fault proves nothing" if played.stock else "ok"
    verdict = " ".join(f"{name}: {number}" for name, number in sorted(found.items())) or fine
    name = f"stock {played.fault}" if played.stock else played.fault
    head = f"{name:<18} {played.what:<40} {played.runs:>4} runs {played.seconds:>6.1f} s"
    tail = [f"    {violation}" for violation in played.violations[:5]] + [f"    ({note})" for note in played.notes]
    return "\n".join([f"{head}  recovery {played.recovery:>5.1f} s  {verdict}", *tail])


def figure(played: Played, arguments: argparse.Namespace) -> dict[str, object]:
    """A round, as the file of figures has it."""
    target = "docker" if arguments.docker else "process"
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "seed": arguments.seed,
        "target": f"stock-{target}" if played.stock else target,
        "fault": f"{played.fault} 10 min" if arguments.real else played.fault,
        "runs": played.runs,
        "seconds": round(played.seconds, 1),
        "recovery": round(played.recovery, 1),
        "violations": Counter(violation.invariant for violation in played.violations),
        "missed": any(note.startswith("missed") for note in played.notes),
    }


def total(played: list[Played]) -> str:
    """The last lines."""
    ours, stock = ([one for one in played if one.stock is which] for which in (False, True))
    found = Counter(violation.invariant for one in ours for violation in one.violations)
    missed = sum(any(note.startswith("missed") for note in one.notes) for one in ours)
    counted = ", ".join(f"{name}: {number}" for name, number in sorted(found.items())) or "none"
    control = f"; control fails in {sum(bool(one.violations) for one in stock)} of {len(stock)}" if stock else ""
    return (
        f"{max(0, len(ours) - 1)} rounds, {sum(one.runs for one in ours)} runs, {missed} faults missed; "
        f"longest recovery {max((one.recovery for one in ours), default=0):.1f} s; violations: {counted}{control}"
    )


def chosen(arguments: argparse.Namespace) -> list[tuple[Fault, bool]]:
    """The rounds to play: those named or the short or the whole set, then by the seed until there are enough runs.

    With each whether it is played by stock workers, as the short campaign's control is in the end.
    """
    target = "docker" if arguments.docker else "process"
    pool = [fault for fault in _pool(arguments) if target in fault.targets]
    random, rounds = Random(arguments.seed), list(pool)
    while len(rounds) * arguments.at_once < arguments.runs:
        rounds.append(random.choice(pool))
    control = [fault for fault in FAULTS if arguments.short and not arguments.docker and fault.number in SHORT]
    return [*((fault, arguments.stock) for fault in rounds), *((fault, True) for fault in control)]


def _pool(arguments: argparse.Namespace) -> list[Fault]:
    names = [name for name in arguments.faults.split(",") if name]
    if names:
        found = {name: [fault for fault in FAULTS if name in {fault.number, fault.family}] for name in names}
        if unknown := [name for name, faults in found.items() if not faults]:
            sys.exit(f"no such fault: {', '.join(unknown)}; see --list")
        return [fault for name in names for fault in found[name]]
    if arguments.stock:
        return [fault for fault in FAULTS if fault.number in NAMES]
    if arguments.real:
        return [fault for fault in FAULTS if fault.is_outage]
    return [fault for fault in FAULTS if fault.short or not arguments.short]


def options() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser("faults", description="Break everything around the agents; look what is lost.")
    parser.add_argument(
        "--short", action="store_true", help="a choice of faults, and a control of stock workers, for CI"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0, help="go on with faults by the seed until so many runs")
    parser.add_argument("--at-once", type=int, default=4, help="runs a round")
    parser.add_argument("--faults", default="", help="only these, F06,F10…")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on all times, for a busy machine")
    parser.add_argument("--stock", action="store_true", help="the control: stock workers in place of agents")
    parser.add_argument("--docker", action="store_true", help="on docker queues")
    parser.add_argument("--real", action="store_true", help="the faults that are outages, each of ten minutes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--figures", type=Path, help="file to add a line a round to")
    parser.add_argument("--keep", type=Path, help="folder for histories and agents' logs")
    return parser


def main() -> int:
    """Play a campaign; 1 if we violated anything. What the control violates is only told."""
    arguments = options().parse_args()
    if arguments.list:
        print("\n".join(f"{fault.number:<18} {fault.what}" for fault in FAULTS))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # so that all is taken down

    def say(one: Played) -> None:
        if not arguments.json:
            print(line(one), flush=True)
        if arguments.figures:
            keep(arguments.figures, [figure(one, arguments)])

    with tempfile.TemporaryDirectory(prefix="lj-faults-") as name:
        folder = Path(name)
        how = Options(arguments.seed, arguments.at_once, arguments.patience, arguments.docker)
        how = replace(how, outage_s=REAL_OUTAGE_S) if arguments.real else how
        played = asyncio.run(campaign(chosen(arguments), folder, how, say))
        if arguments.keep:
            shutil.copytree(folder / "rounds", arguments.keep, dirs_exist_ok=True)
    print(json.dumps([asdict(one) for one in played]) if arguments.json else total(played))
    return int(any(one.violations for one in played if not one.stock))


if __name__ == "__main__":
    sys.exit(main())
