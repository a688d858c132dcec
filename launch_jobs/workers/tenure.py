"""Whether a run that this agent claimed is still its own: it may have been frozen, and another taken over."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from launch_jobs.runs import CLAIM

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import State
    from prefect.client.orchestration import PrefectClient

SURE_S = 10.0
"""For how long a claim needs no second look: nobody takes a run over sooner."""


_RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_CURRENT: ContextVar[Tenure | None] = ContextVar("tenure", default=None)


def clock_s() -> float:
    """Seconds that also pass while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Tenure:
    """Our claim of one run.

    Args:
        identity: of our home.
        since: before the claim was made, by `clock_s`; None: now.
        sure_s: for how long it needs no second look.
    """

    def __init__(self, identity: str, since: float | None = None, sure_s: float = SURE_S) -> None:
        self._identity = identity
        self._sure_s = sure_s
        self._sure_until = (clock_s() if since is None else since) + sure_s
        self.is_lost = False
        self._work: asyncio.Task[object] | None = None

    def begin(self) -> None:
        """What the current task does from now on is done for the run, and so is what it logs there."""
        self._work = asyncio.current_task()
        _CURRENT.set(self)
        for name in _RUN_LOGGERS:
            logging.getLogger(name).addFilter(_is_told)

    async def holds(self, client: PrefectClient, run: UUID) -> bool:
        """Whether the run is still ours; asks the server if we were not heard of for a while."""
        if not self.is_lost and clock_s() > self._sure_until:
            await self.ask(client, run)
        return not self.is_lost

    async def ask(self, client: PrefectClient, run: UUID) -> None:
        """Ask the server now."""
        now = clock_s()
        self.is_lost = self.is_lost or not is_ours(await client.read_flow_run_states(run), self._identity)
        self._sure_until = now + self._sure_s

    async def give_up_if_taken(self, client: PrefectClient, run: UUID) -> bool:
        """If another agent has the run, leave it to that one as if this one had died; whether that was so."""
        if not is_taken(await client.read_flow_run_states(run), self._identity):
            return False
        self.is_lost = True
        if self._work is not None:
            self._work.cancel()
        return True


def _is_told(_: logging.LogRecord) -> bool:
    """Not in the log of a run that another agent has: the engine would say there that it crashed."""
    tenure = _CURRENT.get()
    return tenure is None or not tenure.is_lost


def is_ours(states: list[State[Any]], identity: str) -> bool:  # Prefect's untyped states
    """Whether the last claim of a run's history is this home's, and nobody has ended or put it back since. Pure."""
    for state in sorted(states, key=lambda state: state.timestamp, reverse=True):
        claim = CLAIM.fullmatch(state.message or "")
        if claim and claim["identity"]:
            return claim["identity"] == identity
        if state.is_final() or state.is_scheduled():
            return False
    return True


def is_taken(states: list[State[Any]], identity: str) -> bool:  # as above
    """Whether the last claim of a run's history is another home's. Pure."""
    for state in sorted(states, key=lambda state: state.timestamp, reverse=True):
        claim = CLAIM.fullmatch(state.message or "")
        if claim and claim["identity"]:
            return claim["identity"] != identity
    return False
