"""The errors a user can meet: each says what happened, where, and what to do, and carries its exit code."""

from __future__ import annotations


class LaunchError(Exception):
    """Base of every error that Launch Jobs raises for its users; the command line prints it in one line.

    Attributes:
        exit_code: the process exit code of the command line (DESIGN 9): 1 the run failed, 2 bad input,
            3 refused by policy, 4 unavailable, try again.
    """

    exit_code = 2

    def __init__(self, what: str, *, do: str = "") -> None:
        super().__init__(f"{what}. {do}" if do else what)
        self.what = what
        self.do = do


class BadInput(LaunchError):
    """The caller's input is wrong: unknown name, ill-typed value, empty command."""


class NotFound(BadInput):
    """A job, queue, run or object that was named does not exist."""


class Refused(LaunchError):
    """The request is well-formed, but a policy of queue, agent or host refuses it."""

    exit_code = 3


class Unavailable(LaunchError):
    """A service we need (Prefect server, Docker Engine, store) does not answer; trying again can help."""

    exit_code = 4


class CaptureError(LaunchError):
    """A tracked run cannot be captured exactly; the message names the cause."""


class StoreError(LaunchError):
    """The job store holds something other than what was written there (truncated, tampered, missing)."""


class StoreConflict(StoreError):
    """A compare-and-set lost against another writer; read again and retry."""

    exit_code = 4


class BuildError(LaunchError):
    """An image or environment could not be built; the message ends with where its log is."""

    exit_code = 1


class RunFailed(LaunchError):
    """The user's program ended with another exit code than 0, or was stopped by its time limit."""

    exit_code = 1


class RunLost(LaunchError):
    """The infrastructure under a run vanished; this is never the user's failure."""

    exit_code = 1
