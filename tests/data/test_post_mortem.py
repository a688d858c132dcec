"""What is said of a failure: its kind, one hint, and its end for people, from data alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.cli.present import signal_name, stopped_text
from launch_jobs.diagnosis import diagnosed
from launch_jobs.job import CodeSource, Entrypoint, Job, JobVersion, Origin
from launch_jobs.live_log import LAST_LINES, last_lines
from launch_jobs.names import sha256
from launch_jobs.post_mortem import render_post_mortem, render_unmade
from launch_jobs.run import Failure, Outcome, Reason, RetryPolicy, Stopped, next_attempt
from launch_jobs.store.jobs import JobStore
from launch_jobs.testing import MemoryObjects

GONE = "2026-03-01T10:00:12.500000+00:00"
STOPPED = Stopped(asked="2026-03-01T10:00:00.100000+00:00", signalled="2026-03-01T10:00:00.200000+00:00", gone=GONE)


def _outcome(reason: Reason = Reason.EXITED, code: int | None = 1, **more: object) -> Outcome:
    known = {"run": "r", "attempt": 1, "place": "process://h/f", "message": "m", "ended": GONE}
    return Outcome.model_validate({**known, "reason": reason, "exit_code": code, **more})


def _version() -> JobVersion:
    job = Job(source=CodeSource(tree=sha256(b"")), entrypoint=Entrypoint(argv=("true",)))
    return JobStore(MemoryObjects()).add("train", job, Origin())


CASES = [
    (_outcome(), "Traceback\nValueError: no", Failure.USER, "last lines"),
    (_outcome(), "torch.OutOfMemoryError: CUDA out of memory. Tried", Failure.GPU_MEMORY, "GPU memory"),
    (_outcome(), "MemoryError", Failure.OUT_OF_MEMORY, "memory="),
    (_outcome(), "ModuleNotFoundError: No module named 'pandas'", Failure.USER, "Install pandas"),
    (_outcome(), "OSError: [Errno 28] No space left on device", Failure.USER, "disk"),
    (_outcome(code=127), "sh: nosuch: not found", Failure.USER, "not there"),
    (_outcome(code=137), "", Failure.USER, "SIGKILL"),
    (_outcome(code=139), "", Failure.USER, "SIGSEGV"),
    (_outcome(Reason.OUT_OF_MEMORY, 137), "", Failure.OUT_OF_MEMORY, "memory="),
    (_outcome(Reason.TIMEOUT, 143), "CUDA out of memory", Failure.TIMEOUT, "--timeout"),
    (_outcome(Reason.START_DEADLINE, None), "", Failure.START, "start_deadline"),
    (_outcome(Reason.INFRASTRUCTURE, None), "", Failure.INFRASTRUCTURE, "host"),
    (_outcome(Reason.PREEMPTED, None), "", Failure.PREEMPTED, "preemption_retries"),
]


@pytest.mark.parametrize(("outcome", "text", "kind", "words"), CASES)
def test_a_failure_has_a_kind_and_a_hint(outcome: Outcome, text: str, kind: Failure, words: str) -> None:
    """The reason decides, and only of a program that failed by itself its last lines say more."""
    told = diagnosed(outcome, text.splitlines())
    assert told.failure is kind
    assert words in told.hint
    assert "\n" not in told.hint


@pytest.mark.parametrize("outcome", [_outcome(code=0), _outcome(Reason.CANCELLED, 143)])
def test_what_is_no_failure_stays_as_it_is(outcome: Outcome) -> None:
    """Whatever it printed."""
    assert diagnosed(outcome, ["CUDA out of memory"]) is outcome


def test_a_hint_decides_no_retry() -> None:
    """A program cannot make itself be tried again by what it prints."""
    told = diagnosed(_outcome(), ["CUDA out of memory", "preempted"])
    assert next_attempt(RetryPolicy(infrastructure=3, preemptions=3), told.reason, ()) is None


def test_a_post_mortem_holds_what_is_known_and_no_markup_of_others() -> None:
    """Kind, hint, signal, memory, proof of the stop, and the last lines as they were."""
    evil = "</code>![x](http://evil)\n```\n# Title"
    outcome = diagnosed(_outcome(Reason.TIMEOUT, 143, stopped=STOPPED, peak_memory_bytes=5_000_000), ())
    text = render_post_mortem(_version(), outcome, evil.splitlines())
    assert text.startswith("# Attempt 1: time-out\n")
    for words in ("- signal: 15", "5 MB", "SIGTERM sent: `2026-03-01T10:00:00.2", f"nothing of it runs: `{GONE}`"):
        assert words in text
    assert "SIGKILL" not in text
    assert f"````text\n{evil}\n````" in text
    assert "launch logs r" in text


def test_what_did_not_start_says_why() -> None:
    """With the last lines of the build."""
    text = render_unmade(_version(), Failure.BUILD, "step 3 failed", ["one", "two"])
    assert text.startswith("# Not started: build\n")
    assert "`step 3 failed`" in text
    assert "## Last 2 lines" in text


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    """So many, whole, for people."""
    (tmp_path / "log").write_bytes(b"".join(b"%d %s\n" % (number, b"x" * 100) for number in range(10_000)) + b"a\rend")
    lines = last_lines(tmp_path / "log")
    assert (len(lines), lines[-1], lines[-2][:4]) == (LAST_LINES, "end", "9999")
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    assert last_lines(tmp_path / "log") == ("one", "two")


def test_a_stop_is_told_in_one_line() -> None:
    """What was not necessary is not told."""
    assert stopped_text(STOPPED) == "asked 10:00:00.100, SIGTERM 10:00:00.200, gone 10:00:12.500 UTC"
    assert (signal_name(9), signal_name(31)[-4:]) == ("SIGKILL (9)", "(31)")
