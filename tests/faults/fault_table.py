"""The faults of the campaign, by their numbers in RELIABILITY 3.3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from fault_bucket import bucket_answers_lost, bucket_away, bucket_errors, bucket_truncates
from fault_disks import calls_fail, disk_full, home_full
from fault_kinds import (
    api_away,
    api_away_at_start,
    api_overloaded,
    asked_to_leave,
    attempt_killed,
    cancelled,
    cancelled_as_claimed,
    crash_at,
    crash_while_adopting,
    crash_while_requeueing,
    database_away,
    database_killed,
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
from fault_links import (
    agents_clock,
    clock_steps,
    cut_off,
    frozen_at,
    lossy,
    partitioned,
    row_locked,
    servers_clock,
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
        is_outage: whether something is away for as long as outages are.
    """

    number: str
    what: str
    inject: Callable[[Round, int], Awaitable[None]]
    limit: int | None = None
    short: bool = False
    targets: tuple[str, ...] = ("process", "docker")
    is_outage: bool = False

    @property
    def family(self) -> str:
        """Its number in RELIABILITY 3.3, of several kinds of one."""
        return self.number[:3]


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
    Fault("F00", "no fault", nothing),
    Fault("F06", "agent killed, programs end meanwhile", ends_while_away, short=True),
    Fault("F10", "agent asked to leave", asked_to_leave, short=True),
    Fault("F17", "API refuses while programs end", partial(api_away, "refuse"), short=True, is_outage=True),
    Fault("F17s", "API is silent while programs end", partial(api_away, "silent"), is_outage=True),
    Fault("F17r", "API refuses while runs begin", partial(api_away_at_start, "refuse"), short=True, is_outage=True),
    Fault("F17rs", "API is silent while runs begin", partial(api_away_at_start, "silent"), is_outage=True),
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
    *(
        Fault(f"F11:{point}", f"agent frozen at {point}, then taken over", partial(frozen_at, point))
        for point in ("claim.after", "place.before", "place.after", "start.before", "exit.after")
    ),
    Fault("F13", "answers to the agent are lost", lost_answers, short=True),
    Fault("F14", "answers to submitters are lost", lost_submits),
    Fault("F18", "Prefect server killed", server_killed),
    Fault("F19", "PostgreSQL killed", database_killed),
    Fault("F19a", "PostgreSQL is away while programs end", database_away, is_outage=True),
    Fault("F20", "API overloaded and slow", api_overloaded),
    Fault("F27", "link flaps", flapping),
    Fault("F24o", "what the agent's host sends is lost", partial(cut_off, "out"), is_outage=True),
    Fault("F24", "the agent's host is cut off", partial(cut_off, "both"), is_outage=True),
    Fault("F24h", "one of two hosts is cut off", partitioned, targets=("process",)),
    Fault("F25", "what is sent to the agent's host is lost", partial(cut_off, "in"), is_outage=True),
    Fault("F26", "a fifth of all packets is lost, latency", lossy),
    Fault("F29+", "agent's clock is 10 min ahead", partial(agents_clock, "+600s")),
    Fault("F29-", "agent's clock is 10 min behind", partial(agents_clock, "-600s")),
    Fault("F29s", "agent's clock steps", clock_steps),
    Fault("F30+", "server's clock steps 1 h ahead", partial(servers_clock, "+3600s")),
    Fault("F30-", "server's clock steps 1 h back", partial(servers_clock, "-3600s")),
    Fault("F61", "a waiting run's row is locked", row_locked, short=True),
    Fault("F34", "programs that ignore SIGTERM", stubborn),
    Fault("F36", "program and supervisor killed", attempt_killed, targets=("process",)),
    Fault("F15", "engine's answers are lost", lost_engine_answers, short=True, targets=("docker",)),
    Fault("F35", "engine away while programs end", partial(engine_away, "refuse"), targets=("docker",), is_outage=True),
    Fault(
        "F37", "engine silent while programs end", partial(engine_away, "silent"), targets=("docker",), is_outage=True
    ),
    Fault("F41", "store's disk full", disk_full, short=True),
    Fault("F41h", "agent's disk full", home_full),
    Fault("F42", "fsync and rename fail", calls_fail),
    Fault("F43e", "store in S3: 503, 500, resets, slow", bucket_errors, short=True),
    Fault("F43d", "store in S3: answers to writes are lost", bucket_answers_lost),
    Fault("F43t", "store in S3: answers are truncated", bucket_truncates),
    Fault("F43a", "store in S3: away while programs end", partial(bucket_away, "refuse"), is_outage=True),
    Fault("F43s", "store in S3: silent while programs end", partial(bucket_away, "silent"), is_outage=True),
    Fault("F56", "everything killed", everything_killed),
    Fault("F59", "poison run", poison),
)
