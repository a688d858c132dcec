"""What kind of failure an attempt ended by, and one thing to do about it. Pure; a guess, never what decides a retry."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launch_jobs.run import Failure, Outcome, Reason, RunState

_KINDS = {
    Reason.EXITED: Failure.USER,
    Reason.TIMEOUT: Failure.TIMEOUT,
    Reason.OUT_OF_MEMORY: Failure.OUT_OF_MEMORY,
    Reason.START_DEADLINE: Failure.START,
    Reason.INFRASTRUCTURE: Failure.INFRASTRUCTURE,
    Reason.PREEMPTED: Failure.PREEMPTED,
}
_HINTS = {
    Failure.TIMEOUT: "Give it more time (--timeout, or the queue's timeout), or let it go on from a checkpoint",
    Failure.OUT_OF_MEMORY: "Give it more memory (--set memory=…), or let it use less: smaller batches, fewer workers",
    Failure.START: "Raise the queue's start_deadline, or look for why its image or data came so slowly",
    Failure.INFRASTRUCTURE: "Nothing is wrong with the program: look at the host and its engine, then `launch retry`",
    Failure.PREEMPTED: "Its machine was taken back: `launch retry`, or let the queue do so (preemption_retries)",
}
_SIGNS: tuple[tuple[re.Pattern[str], Failure, str], ...] = (
    (
        re.compile(
            r"CUDA out of memory|OutOfMemoryError: CUDA|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
            r"|HIP out of memory|RESOURCE_EXHAUSTED: Out of memory"
        ),
        Failure.GPU_MEMORY,
        "Its last lines speak of GPU memory: smaller batches or models, mixed precision, or a larger GPU",
    ),
    (
        re.compile(r"^MemoryError\b|std::bad_alloc|Cannot allocate memory|numpy\S*ArrayMemoryError", re.MULTILINE),
        Failure.OUT_OF_MEMORY,
        _HINTS[Failure.OUT_OF_MEMORY],
    ),
    (
        re.compile(r"^ModuleNotFoundError: No module named '(?P<what>[\w.]{1,80})'", re.MULTILINE),
        Failure.USER,
        "Install {what} in the environment that is captured, and capture the job again",
    ),
    (
        re.compile(r"No space left on device"),
        Failure.USER,
        "Make room on the disk of the host, or let the program write less",
    ),
    (
        re.compile(r"DataLoader worker .{0,80}bus error|insufficient shared memory", re.IGNORECASE),
        Failure.USER,
        "Give it more shared memory (--set shm_size=…), or let its data loader use fewer workers",
    ),
)
_CODES = {
    126: "Its command is there, but cannot be executed: look at its mode, or call it by its interpreter",
    127: "Its command is not there: look at its spelling, and whether the environment has it",
    132: "It used an instruction that this host's processor does not have: build it for an older one",
    137: "It was killed (SIGKILL), and not by us: by hand, or by the kernel when the host ran out of memory",
    139: "It crashed in native code (SIGSEGV): look for libraries that do not fit together",
}


def diagnosed(outcome: Outcome, last_lines: Sequence[str]) -> Outcome:
    """The outcome with its kind of failure and a hint; one that is no failure stays as it is."""
    if outcome.state in {RunState.COMPLETED, RunState.CANCELLED}:
        return outcome
    kind = _KINDS[outcome.reason]
    hint = _HINTS.get(kind, "")
    if kind is Failure.USER:
        kind, hint = _read(outcome.exit_code, "\n".join(last_lines))
    return outcome.model_copy(update={"failure": kind, "hint": hint})


def _read(exit_code: int | None, text: str) -> tuple[Failure, str]:
    for sign, kind, hint in _SIGNS:
        if found := sign.search(text):
            return kind, hint.format(**found.groupdict())
    return Failure.USER, _CODES.get(exit_code or 0, "Look at its last lines")
