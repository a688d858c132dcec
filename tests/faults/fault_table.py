"""The faults of the campaign, by their numbers in RELIABILITY 3.3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from fault_kinds import (
    agents_clock,
    api_away,
    api_overloaded,
    asked_to_leave,
    attempt_killed,
    cancelled,
    cancelled_as_claimed,
    crash_at,
    crash_while_adopting,
    crash_while_requeueing,
    database_killed,
    disk_full,
    ends_while_away,
    engine_away,
    everything_killed,
    flapping,
    frozen,
    kill_again_and_again,
    lost_answers,
    lost_engine_answers,
    lost_submits,
    nothing,
    poison,
    racing_agents,
    server_killed,
    stubborn,
    submitters_clock,
)
from fault_round import Round


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        number: in RELIABILITY 3.3; a crash point has its name behind it.
        what: in words.
        inject: does it; submits `runs` runs.
        limit: of the round's queue.
        short: whether the short campaign has it.
        targets: the types of queues that it concerns.
    """

    number: str
    what: str
    inject: Callable[[Round, int], Awaitable[None]]
    limit: int | None = None
    short: bool = False
    targets: tuple[str, ...] = ("process", "docker")


_CRASHES = {
    "claim.before": "F01",
    "claim.after": "F02",
    "place.before": "F03",
    "place.after": "F03",
    "start.before": "F04",
    "start.after": "F05",
    "exit.after": "F07",
    "outputs.after": "F07",
    "outcome.before": "F07",
    "outcome.after": "F08",
    "remove.after": "F08",
}

FAULTS: tuple[Fault, ...] = (
    Fault("F00", "no fault", nothing, short=True),
    Fault("F06", "agent killed, programs end meanwhile", ends_while_away, short=True),
    Fault("F10", "agent asked to leave", asked_to_leave, short=True),
    Fault("F17", "API refuses while programs end", partial(api_away, "refuse"), short=True),
    Fault("F17s", "API is silent while programs end", partial(api_away, "silent")),
    Fault("F28", "submitters' clocks are wrong", submitters_clock, limit=1, short=True),
    Fault("F31", "agents race for a limit of 1", racing_agents, limit=1, short=True),
    Fault("F33", "cancels, agent alive", partial(cancelled, True), short=True),
    Fault("F33d", "cancels, agent dead", partial(cancelled, False), short=True),
    Fault("F33c", "cancels around the claim", cancelled_as_claimed),
    *(
        Fault(f"{number}:{point}", f"agent dies at {point}", partial(crash_at, point), short=number == "F02")
        for point, number in _CRASHES.items()
    ),
    Fault("F09", "agents killed again and again", kill_again_and_again),
    Fault("F09a", "agent dies while it adopts", crash_while_adopting),
    Fault("F09r", "agent dies while it puts a run back", crash_while_requeueing),
    Fault("F11", "agent frozen, another one comes", frozen),
    Fault("F13", "answers to the agent are lost", lost_answers, short=True),
    Fault("F14", "answers to submitters are lost", lost_submits, short=True),
    Fault("F18", "Prefect server killed", server_killed),
    Fault("F19", "PostgreSQL killed", database_killed),
    Fault("F20", "API overloaded and slow", api_overloaded),
    Fault("F27", "link flaps", flapping),
    Fault("F29+", "agent's clock is 10 min ahead", partial(agents_clock, "+600s")),
    Fault("F29-", "agent's clock is 10 min behind", partial(agents_clock, "-600s")),
    Fault("F34", "programs that ignore SIGTERM", stubborn),
    Fault("F36", "program and supervisor killed", attempt_killed, targets=("process",)),
    Fault("F15", "engine's answers are lost", lost_engine_answers, short=True, targets=("docker",)),
    Fault("F35", "engine away while programs end", partial(engine_away, "refuse"), targets=("docker",)),
    Fault("F37", "engine silent while programs end", partial(engine_away, "silent"), targets=("docker",)),
    Fault("F41", "store's disk full", disk_full, short=True),
    Fault("F56", "everything killed", everything_killed),
    Fault("F59", "poison run", poison),
)
