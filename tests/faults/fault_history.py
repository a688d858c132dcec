"""What happened in one round of the campaign, as data: what was asked for, what really ran, and what was told of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Told = Literal["ok", "refused", "unknown"]


@dataclass(frozen=True)
class Asked:
    """A submit, by the bench's monotonic clock.

    Attributes:
        key: its idempotency key.
        told: what the submitter was told; unknown: the server did not answer.
        run: id of the run; None unless it was acknowledged.
        begun, done: when it was asked and answered.
        code: exit code that its program ends with.
        lines: how many lines its program writes.
        lane: queue and priority; order and limits hold in each for itself.
        cancelled: when its cancel was acknowledged; None: never asked.
        lost: its program was killed with its supervisor or engine.
        parked: its agents were let die until it is parked.
    """

    key: str
    told: Told
    run: str | None
    begun: float
    done: float
    code: int = 0
    lines: int = 0
    lane: str = ""
    cancelled: float | None = None
    lost: bool = False
    parked: bool = False


@dataclass(frozen=True)
class Seen:
    """A line of the witness: a program's start (`code` None) or end, in its own words.

    Attributes:
        at: seconds of the machine's monotonic clock.
    """

    run: str
    attempt: int
    pid: int
    at: float
    code: int | None = None


@dataclass(frozen=True)
class Record:
    """A run as the server and the store tell it at the end.

    Attributes:
        key: idempotency key.
        states: types of its states, oldest first.
        claims: times of its claims by the server's clock, oldest first.
        outcomes: attempt and state of each outcome in the store.
        log: what the store holds of the last attempt's output; None: nothing.
        shown: what Prefect's logs show of all its output, in order.
        ended: when the bench first saw it over; None: never.
    """

    run: str
    key: str
    states: tuple[str, ...]
    claims: tuple[float, ...] = ()
    outcomes: tuple[tuple[int, str], ...] = ()
    log: tuple[str, ...] | None = None
    shown: tuple[str, ...] = ()
    ended: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class History:
    """One round.

    Attributes:
        cleared: when the faults were over and an agent was there again.
        limit: of the queue; None: no limit.
        attempts: most attempts that a run may have.
        left: what was found of ended runs: processes, folders, containers.
        damage: what `launch check` found.
        exits: agents that were asked to leave, and how many seconds they took.
    """

    asked: tuple[Asked, ...]
    seen: tuple[Seen, ...]
    records: tuple[Record, ...]
    cleared: float
    limit: int | None = None
    attempts: int = 1
    left: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    exits: tuple[float, ...] = field(default=())

    def dump(self, path: Path) -> None:
        """Keep it, to be looked at."""
        path.write_text(json.dumps(asdict(self), indent=1))


PROGRAM = r"""
# witness log-lines seconds exit-code [stubborn]
witness=$1 lines=$2 seconds=$3 code=$4
now() { read -r up rest </proc/uptime; echo "$up"; }
echo "start $LAUNCH_RUN_ID $LAUNCH_ATTEMPT $$ $(now)" >>"$witness"
[ "$5" != stubborn ] || { trap '' TERM; setsid sleep 300 & }
i=0
while [ "$i" -lt "$lines" ]; do echo "line $i of $LAUNCH_RUN_ID"; i=$((i + 1)); done
sleep "$seconds"
echo "end $LAUNCH_RUN_ID $LAUNCH_ATTEMPT $$ $(now) $code" >>"$witness"
exit "$code"
"""
"""The witness: each line is one short append, which the kernel keeps whole."""


def lines_of(run: str, number: int) -> tuple[str, ...]:
    """What the program writes. Pure."""
    return tuple(f"line {i} of {run}" for i in range(number))


def read_witness(lines: Iterable[str]) -> tuple[Seen, ...]:
    """The witness's lines as data. Pure."""
    return tuple(
        Seen(run, int(attempt), int(pid), float(at), int(code[0]) if code else None)
        for _, run, attempt, pid, at, *code in (line.split() for line in lines)
    )
